"""The correction format: what a person says that a line reads, as one line of JSON. Nothing here touches a disk.

    {"format_version": 1, "kind": "correction", "id": ..., "time": ..., ..., "digest": "sha256:..."}
    {"format_version": 1, "kind": "withdrawal", "id": ..., "time": ..., ..., "digest": "sha256:..."}

``digest`` covers the other values, so that a line that a crash left half-written is told from a whole one.
`htr.correction_store` keeps the lines and the images.
"""

import hashlib
import json
import re
import unicodedata
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from htr.alphabet import normalise
from htr.append_log import DamagedLineError
from htr.errors import DataError

FORMAT_VERSION = 1
READING, SAMPLE = "reading", "sample"
CHOSEN_BY = (READING, SAMPLE)
"""Why a person looked at a line: because of what the model read there, or whatever it read (every tenth, say)."""
MAX_TEXT = 2000
"""Characters; a longer text is no line."""
MAX_NAME = 200
"""Characters of an author, a writer, a page, ..."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LANGUAGE = re.compile(r"([a-z]{3})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What a person says that a line reads. A reading that was right is one, too: old and new text are the same.

    Raises:
        ValueError: a field is not what its docstring says.
    """

    KIND: ClassVar[str] = "correction"

    id: str
    """Chosen by whoever sends it, so that sending it twice stores it once; a UUID, say."""
    time: datetime
    """When it was stored, in UTC."""
    author: str
    """Who corrected."""
    model_version: str
    """Of the model that read the line, as its answer said."""
    bundle_digest: str
    """Of the same model: ``sha256:...``."""
    old_text: str
    """What the model read; may be empty."""
    new_text: str
    """What the line says, normalised as every label; never empty."""
    image_digest: str
    """``sha256:...`` of the encoded image of the line."""
    chosen_by: str = READING
    """One of CHOSEN_BY. What was chosen by a reading is learnt from, and never judges a model."""
    line: str = ""
    """The sender's own name of the line: a later correction of the same name takes the earlier one's place."""
    writer: str = ""
    page: str = ""
    language: str = ""
    """ISO 639-3 code, or "" when unknown."""
    request_id: str = ""
    """Of the request that was answered with the old text, where it is known."""
    position: int = 0
    """Place of the line among that request's images, from 0."""

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_time(self.time)
        for name in ("author", "model_version"):
            _check_name(name, getattr(self, name), least=1)
        for name in ("line", "writer", "page", "request_id"):
            _check_name(name, getattr(self, name))
        for name in ("bundle_digest", "image_digest"):
            if not _DIGEST.fullmatch(getattr(self, name)):
                raise ValueError(f"{name}: expected sha256: and 64 hex digits, got {getattr(self, name)[:80]!r}")
        _check_name("old_text", self.old_text, most=MAX_TEXT)
        _check_name("new_text", self.new_text, least=1, most=MAX_TEXT)
        for name in ("old_text", "new_text"):
            if getattr(self, name) != normalise(getattr(self, name)):
                raise ValueError(f"{name}: expected NFC with single spaces; use htr.alphabet.normalise")
        if self.chosen_by not in CHOSEN_BY:
            raise ValueError(f"chosen_by: expected one of {', '.join(CHOSEN_BY)}, got {self.chosen_by!r}")
        if not _LANGUAGE.fullmatch(self.language):
            raise ValueError(f'language: expected an ISO 639-3 code such as eng, or "", got {self.language!r}')
        if not 0 <= self.position < 2**31:
            raise ValueError(f"position: expected 0 or more, got {self.position}")

    def says_the_same(self, other: "Correction") -> bool:
        """Return whether all but the time is equal."""
        return replace(self, time=other.time) == other


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """A correction is not to be learnt from any more.

    Raises:
        ValueError: a field is not what its docstring says.
    """

    KIND: ClassVar[str] = "withdrawal"

    id: str
    """Of the correction."""
    time: datetime
    """When it was stored, in UTC."""
    author: str
    """Who withdrew it."""
    reason: str = ""

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_time(self.time)
        _check_name("author", self.author, least=1)
        _check_name("reason", self.reason)


Record = Correction | Withdrawal


def to_json(record: Record) -> str:
    """Return a record's line, without its end."""
    values = {"format_version": FORMAT_VERSION, "kind": record.KIND, **asdict(record)}
    values["time"] = record.time.isoformat()
    return json.dumps({**values, "digest": _digest(values)}, ensure_ascii=False)


def from_json(line: bytes) -> Record:
    """Read a line that `to_json` wrote.

    Raises:
        DamagedLineError: the line is cut off or altered.
        DataError: it is of another format version, or no record.
    """
    try:
        values = json.loads(line)
        version, digest = values.pop("format_version"), values.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedLineError(f"not a whole record ({error!r})") from error
    if version != FORMAT_VERSION:
        raise DataError(f"format version {version}, this program reads {FORMAT_VERSION}; use the matching release")
    if digest != _digest({"format_version": version, **values}):
        raise DamagedLineError("altered: its digest does not fit its values")
    return _record(values)


def _record(values: dict[str, Any]) -> Record:
    kinds: dict[str, type[Record]] = {kind.KIND: kind for kind in (Correction, Withdrawal)}
    try:
        kind = kinds[values.pop("kind")]
        if set(values) != {field.name for field in fields(kind)}:
            raise ValueError(f"fields are {sorted(values)}")  # noqa: TRY301 - one message for all of them
        return kind(**{**values, "time": datetime.fromisoformat(values["time"])})
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"no correction and no withdrawal ({error}); restore the file") from error


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _check_id(text: str) -> None:
    if not isinstance(text, str) or not ID.fullmatch(text):
        raise ValueError(f"id: expected 1 to 128 of A-Z a-z 0-9 . _ : -, no mark first, got {text!r:.80}")


def _check_time(time: datetime) -> None:
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"time: expected UTC, got {time!r}; take datetime.now(UTC)")


def _check_name(name: str, text: str, *, least: int = 0, most: int = MAX_NAME) -> None:
    """Refuse what is no single line of writing: texts go into logs, tables and pages."""
    if not isinstance(text, str) or not least <= len(text) <= most:
        raise ValueError(f"{name}: expected text of {least} to {most} characters, got {text!r:.80}")
    strange = sorted({c for c in text if unicodedata.category(c) in {"Cc", "Cs"}})
    if strange:
        raise ValueError(f"{name}: has control characters or broken ones: {strange[:5]!a}; remove them")
