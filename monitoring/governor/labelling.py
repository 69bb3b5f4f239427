"""Labelling requests: a decision in, a file that says which lines people are asked to correct out.

STATE/labelling/<record>.json, whole or not there, and never changed: a request names lines as the prediction log
does, by ``request_id`` and ``position``. Which lines those are, a function that is handed in chooses.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.append_log import write_durably
from htr.errors import DataError, OutputError

FORMAT_VERSION = 1
FOLDER = "labelling"
Choose = Callable[[str, int], Sequence[Mapping[str, Any]]]
"""Champion's digest and how many -> the lines: ``request_id``, ``position``, ``why``."""


@dataclass(frozen=True, kw_only=True)
class LabellingRequests:
    """The requests of one state folder."""

    state: Path
    choose: Choose

    def ask(self, request: int, *, champion: str, reason: str, wanted: int) -> None:
        """Open a request; the same again changes nothing."""
        file = self.state / FOLDER / f"{request}.json"
        if file.exists():
            return
        values = {
            "format_version": FORMAT_VERSION,
            "record": request,
            "champion": champion,
            "reason": reason,
            "wanted": wanted,
            "lines": [dict(line) for line in self.choose(champion, wanted)],
        }
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(file, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise OutputError(f"{file.parent}: cannot be written ({error.strerror})") from error


def read_request(state: Path, request: int) -> Mapping[str, Any] | None:
    """Return a labelling request; None where it was not written yet.

    Raises:
        DataError: it is damaged or of another format version.
    """
    return _read(state / FOLDER / f"{request}.json")


def read_requests(state: Path) -> Iterator[Mapping[str, Any]]:
    """Yield every labelling request that was written.

    Raises:
        DataError: one is damaged or of another format version.
    """
    for file in sorted((state / FOLDER).glob("[0-9]*.json")):
        found = _read(file)
        if found is not None:
            yield found


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        version = values["format_version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not a labelling request ({error!r})") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{file}: format version {version}, this program reads {FORMAT_VERSION}")
    return dict(values)
