"""What a server answers about lines and pages, as a client's values."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Points = tuple[tuple[float, float], ...]
"""(x, y) in pixels of the page, set upright."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Which request was answered, and by which model."""

    model_version: str
    bundle_digest: str
    request_id: str

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Origin":
        """Return where an answer came from."""
        return cls(**{name: str(answer[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """One code point of a line's text."""

    character: str
    left: float
    """Pixels from the left edge of the line's image."""
    right: float
    confidence: float
    """Of the network at its best step, 0..1; not calibrated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """One of the texts that a line may hold."""

    text: str
    log_prob: float | None
    """Natural log-probability by the network alone; None where it is zero probability."""
    score: float | None
    """What the order goes by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRead:
    """What the server read on one line, and which model it was: what a correction of it needs to say."""

    image: bytes
    """As it was read; of a line of a page b"" where crops were not asked for."""
    text: str
    confidence: float
    """Calibrated probability that the whole line is right, 0..1."""
    model_version: str
    bundle_digest: str
    request_id: str
    position: int
    """Place among the request's lines, from 0."""
    characters: tuple[Character, ...] = ()
    """Of the text, in its order; empty where they were not asked for."""
    alternatives: tuple[Alternative, ...] = ()
    """The reading first; empty where none were asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word, and where it stands on the page."""

    text: str
    polygon: Points


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLineRead(LineRead):
    """A line of a page: what `LineRead` says of it, and where it stands."""

    region: int
    """Number of its block, in reading order."""
    polygon: Points
    baseline: Points
    words: tuple[Word, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageRead:
    """One page of a file."""

    number: int
    """From 1."""
    width: int
    """Pixels, set upright."""
    height: int
    skew_degrees: float
    """How far the lines run downhill to the right, as a whole."""
    lines: tuple[PageLineRead, ...]
    """In reading order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRead:
    """What was read in one file of pages; a format that was not asked for is empty."""

    pages: tuple[PageRead, ...]
    verdicts: tuple[str, ...]
    text: str
    """Of all pages, a form feed between them."""
    alto: tuple[str, ...]
    """One XML document a page."""
    page: tuple[str, ...]
    """One PAGE XML document a page."""
    pdf: bytes
    """Searchable, all pages."""
    overlay: tuple[bytes, ...]
    """One JPEG a page, with its lines drawn on it."""

    @property
    def lines(self) -> tuple[PageLineRead, ...]:
        """The lines of all pages, in reading order."""
        return tuple(line for page in self.pages for line in page.lines)


def lines_read(images: Sequence[bytes], answer: dict[str, Any]) -> list[LineRead]:
    """Return what an answer of the line route says.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    origin = Origin.of(answer)
    return [
        LineRead(
            image=image,
            text=one["text"],
            confidence=one["confidence"],
            position=position,
            **_doubts(one),
            **_fields(origin),
        )
        for position, (image, one) in enumerate(zip(images, answer["predictions"], strict=True))
    ]


def file_read(answer: dict[str, Any]) -> FileRead:
    """Return what an answer of the page route says of its one file.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    origin = Origin.of(answer)
    (found,) = answer["predictions"]
    files = found["files"]
    return FileRead(
        pages=tuple(_page(page, origin) for page in found["pages"]),
        verdicts=tuple(found["verdicts"]),
        text=files.get("text", ""),
        alto=tuple(files.get("alto", ())),
        page=tuple(files.get("page", ())),
        pdf=base64.b64decode(files.get("pdf", "")),
        overlay=tuple(base64.b64decode(picture) for picture in files.get("overlay", ())),
    )


def _page(page: dict[str, Any], origin: Origin) -> PageRead:
    return PageRead(
        number=page["page"],
        width=page["width"],
        height=page["height"],
        skew_degrees=page["skew_degrees"],
        lines=tuple(_line(line, origin) for line in page["lines"]),
    )


def _line(line: dict[str, Any], origin: Origin) -> PageLineRead:
    return PageLineRead(
        image=base64.b64decode(line["crop"]["b64"]) if "crop" in line else b"",
        text=line["text"],
        confidence=line["confidence"],
        position=line["position"],
        region=line["region"],
        polygon=_points(line["polygon"]),
        baseline=_points(line["baseline"]),
        words=tuple(Word(text=word["text"], polygon=_points(word["polygon"])) for word in line["words"]),
        verdicts=tuple(line["verdicts"]),
        **_doubts(line),
        **_fields(origin),
    )


def _doubts(line: dict[str, Any]) -> dict[str, Any]:
    """Return what may have been asked for about the doubtful parts of a line."""
    return {
        "characters": tuple(Character(**one) for one in line.get("characters", ())),
        "alternatives": tuple(Alternative(**one) for one in line.get("alternatives", ())),
    }


def _fields(origin: Origin) -> dict[str, Any]:
    return {name: getattr(origin, name) for name in Origin.__dataclass_fields__}


def _points(points: list[list[float]]) -> Points:
    return tuple((float(x), float(y)) for x, y in points)
