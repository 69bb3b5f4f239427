"""Records of a journal as lines of JSON, each with a format version and a digest of all that it says."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from htr.append_log import DamagedLineError
from htr.errors import DataError


def sealed(values: Mapping[str, Any]) -> str:
    """Return values as a line, without its end; ``format_version`` should be among them."""
    return json.dumps({**values, "digest": _digest(values)}, ensure_ascii=False)


def opened(line: bytes, *, version: int) -> dict[str, Any]:
    """Return the values of a line that `sealed` wrote, without format version and digest.

    Raises:
        DamagedLineError: the line is cut off or altered.
        DataError: it is of another format version.
    """
    try:
        values: dict[str, Any] = json.loads(line)
        found, digest = values["format_version"], values.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedLineError(f"not a whole record ({error!r})") from error
    if found != version:
        raise DataError(f"format version {found}, this program reads {version}; use the matching release")
    if digest != _digest(values):
        raise DamagedLineError("altered: its digest does not fit its values")
    del values["format_version"]
    return values


def when(*, seq: int, time: datetime, at: float) -> dict[str, Any]:
    """Return what every record begins with: its number, the wall clock's time, and the journal's own."""
    return {"seq": seq, "time": time.isoformat(), "at": round(at, 3)}


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
