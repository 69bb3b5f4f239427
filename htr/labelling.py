"""Labelling requests: which lines people are asked to correct. The governor writes them, the page reads them.

    STATE/labelling/<number>.json     whole or not there, and never changed

A request names lines as the prediction log does, by ``request_id`` and ``position``. It holds no image, no text.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from htr.append_log import write_durably
from htr.choosing import Why
from htr.corrections import CHOSEN_BY
from htr.errors import DataError, OutputError

FORMAT_VERSION = 1
FOLDER = "labelling"
WHY: tuple[Why, ...] = get_args(Why)


class DamagedRequestError(DataError):
    """A file of that name is there, and is no labelling request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestedLine:
    """One line that somebody is asked to correct.

    Raises:
        ValueError: a field is not what its docstring says.
    """

    request_id: str
    """Of the request in which the line was read."""
    position: int
    """Its place among that request's lines, from 0."""
    why: Why
    """As `htr.choosing` has it."""
    chosen_by: str
    """What its correction must say, one of `htr.corrections.CHOSEN_BY`."""

    def __post_init__(self) -> None:
        if type(self.request_id) is not str or type(self.position) is not int or self.position < 0:
            raise ValueError(
                f"expected a request id and a place from 0, got {self.request_id!r}, {self.position!r}"
            )
        if self.why not in WHY or self.chosen_by not in CHOSEN_BY:
            raise ValueError(f"why, chosen_by: expected {WHY}, {CHOSEN_BY}, got {self.why!r}, {self.chosen_by!r}")

    @property
    def place(self) -> tuple[str, int]:
        """What the line goes by in the logs."""
        return self.request_id, self.position


@dataclass(frozen=True, kw_only=True, slots=True)
class LabellingRequest:
    """What people are asked for."""

    record: int
    """Of the decision in the governor's journal; names the request."""
    champion: str
    """Digest of the model whose readings are meant; "" for all."""
    reason: str
    wanted: int
    """Lines that are wanted; there may not be as many in the log."""
    lines: tuple[RequestedLine, ...]


def request_file(state: Path, number: int) -> Path:
    """Return where a request lies, or would."""
    return state / FOLDER / f"{number}.json"


def write_request(state: Path, request: LabellingRequest) -> None:
    """Write a request; when this returns, it is on disk.

    Raises:
        OutputError: it cannot be written; then there is none.
    """
    file = request_file(state, request.record)
    text = json.dumps({"format_version": FORMAT_VERSION, **asdict(request)}, indent=2, ensure_ascii=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, (text + "\n").encode())
    except OSError as error:
        raise OutputError(f"{file.parent}: cannot be written ({error.strerror})") from error


def read_request(state: Path, number: int) -> LabellingRequest | None:
    """Return a labelling request; None where it was not written yet.

    Raises:
        DamagedRequestError: it is damaged.
        DataError: it is of another format version, or cannot be read.
    """
    file = request_file(state, number)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DamagedRequestError(f"{file}: not a labelling request ({error!r})") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    return _parsed(text, file)


def request_numbers(state: Path) -> Iterator[int]:
    """Yield the numbers of all requests that were written, the oldest first."""
    yield from sorted(int(file.stem) for file in (state / FOLDER).glob("*.json") if file.stem.isdecimal())


def _parsed(text: str, file: Path) -> LabellingRequest:
    try:
        values = json.loads(text)
        version = values.pop("format_version")
        if version == FORMAT_VERSION:
            lines = tuple(RequestedLine(**line) for line in values.pop("lines"))
            return LabellingRequest(**values, lines=lines)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedRequestError(f"{file}: not a labelling request ({error!r})") from error
    raise DataError(f"{file}: format version {version}, this program reads {FORMAT_VERSION}")
