"""What the page holds: a sheet, its lines as the server read them, and what a person said of them."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from htr.layout.geometry import PageLine, Point, Points
from htr.pages.reading import LineReading, PageReading, Word
from serving.client import LineRead

PAGE, LINE = "page", "line"


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What a reader sees as one letter: a code point with the marks that belong to it."""

    text: str
    confidence: float
    """The network's own, of the least sure of its code points; not calibrated, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenLine:
    """One line as the server read it."""

    seen: LineRead
    """What a correction of it must say, the picture of the line included."""
    picture: bytes
    """The line as a browser can show it: upright, PNG or JPEG."""
    page: str
    """Name of the page it stands on, for the correction."""
    letters: tuple[Letter, ...]
    """Of the text, in its order; none where the server did not tell."""
    others: tuple[str, ...]
    """What else the line may say, the likeliest first."""
    line: PageLine
    """Where it stands on the sheet."""
    words: tuple[Word, ...] = ()

    @property
    def text(self) -> str:
        """The reading."""
        return self.seen.text

    @property
    def confidence(self) -> float:
        """Calibrated probability that the whole line is right, 0..1."""
        return self.seen.confidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One page, or one line by itself."""

    kind: str
    """PAGE or LINE."""
    number: int
    """Page of the file, from 1."""
    width: int
    """Pixels of the image that the lines' outlines are measured in."""
    height: int
    preview: bytes
    """The image, shrunk: a JPEG."""
    lines: tuple[SeenLine, ...]
    skew_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What lies on one person's desk: a file's sheets, which line is looked at, and what was sent.

    A new one is made for each change, so that what a slow request brings back never alters what is shown.
    """

    source: Path | None = None
    """The file that was read, as long as it is kept."""
    name: str = ""
    """Of the file."""
    sheets: tuple[Sheet, ...] = ()
    sheet: int = 0
    """The one that is shown, from 0."""
    at: int = 0
    """The line of it that is looked at, from 0."""
    sent: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """What was sent for a line, by sheet and line."""

    @property
    def shown(self) -> Sheet | None:
        """The sheet that is shown."""
        return self.sheets[self.sheet] if self.sheets else None

    @property
    def line(self) -> SeenLine | None:
        """The line that is looked at."""
        sheet = self.shown
        return sheet.lines[self.at] if sheet and self.at < len(sheet.lines) else None

    def turned_to(self, sheet: int) -> "Work":
        """Return the same with another sheet shown."""
        return replace(self, sheet=max(0, min(sheet, len(self.sheets) - 1)), at=0)

    def looking_at(self, line: int) -> "Work":
        """Return the same with another line looked at; before the first is the first, after the last the last."""
        last = len(self.shown.lines) - 1 if self.shown else 0
        return replace(self, at=max(0, min(line, last)))

    def with_texts(self, texts: Mapping[tuple[int, int], str]) -> "Work":
        """Return the same with more said of its lines, by sheet and line."""
        return replace(self, sent={**self.sent, **texts})

    def with_sent(self, text: str) -> "Work":
        """Return the same after a correction of the line that is looked at was stored, the next line looked at."""
        return self.with_texts({(self.sheet, self.at): text}).looking_at(self.at + 1)

    def said(self, sheet: int, line: int) -> str:
        """Return what a line says: what a person sent for it, or else the reading."""
        return self.sent.get((sheet, line), self.sheets[sheet].lines[line].text)

    def page_reading(self, sheet: int) -> PageReading:
        """Return a sheet with what was sent in the place of what was read, for files to take away."""
        page = self.sheets[sheet]
        return PageReading(
            width=page.width,
            height=page.height,
            skew_degrees=page.skew_degrees,
            lines=tuple(_corrected(line, self.sent.get((sheet, place))) for place, line in enumerate(page.lines)),
        )


def letters_of(text: str, characters: Sequence[tuple[str, float]]) -> tuple[Letter, ...]:
    """Return the letters of a text with their confidences; none where the characters are those of another text.

    Args:
        text: the reading.
        characters: its code points with their confidences, in its order.
    """
    if "".join(character for character, _ in characters) != text:
        return ()
    letters: list[Letter] = []
    for character, confidence in characters:
        if letters and (unicodedata.combining(character) or character in "\u200c\u200d"):
            before = letters.pop()
            character, confidence = before.text + character, min(before.confidence, confidence)  # noqa: PLW2901
        letters.append(Letter(text=character, confidence=confidence))
    return tuple(letters)


def _corrected(line: SeenLine, sent: str | None) -> LineReading:
    if sent is None or sent == line.text:
        return LineReading(line=line.line, text=line.text, confidence=line.confidence, words=line.words)
    words = sent.split(" ") if sent else []
    same = len(words) == len(line.words)  # other letters of the same words, which stand where they stood
    places = [old.polygon for old in line.words] if same else _spread(words, _ends(line))
    placed = tuple(Word(text=word, polygon=place) for word, place in zip(words, places, strict=True))
    return LineReading(line=line.line, text=sent, confidence=1.0, words=placed)


def _ends(line: SeenLine) -> Points:
    """Return the corners of all that is written on a line: top left, top right, bottom right, bottom left."""
    if line.words:
        first, last = line.words[0].polygon, line.words[-1].polygon
        return first[0], last[1], last[2], first[3]
    left, top, right, foot = line.line.box
    return (left, top), (right, top), (right, foot), (left, foot)


def _spread(words: Sequence[str], corners: Points) -> list[Points]:
    """Return a place for each word, as if all letters were equally wide."""
    a, b, c, d = corners
    total = max(1, len(" ".join(words)))
    places: list[Points] = []
    start = 0
    for word in words:
        low, high = start / total, (start + len(word)) / total
        places.append((_between(a, b, low), _between(a, b, high), _between(d, c, high), _between(d, c, low)))
        start += len(word) + 1
    return places


def _between(first: Point, second: Point, share: float) -> Point:
    return first[0] + share * (second[0] - first[0]), first[1] + share * (second[1] - first[1])
