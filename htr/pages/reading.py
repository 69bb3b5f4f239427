"""A page image in, the text of its lines out: `htr.layout` finds them, the recogniser reads each by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from htr.alignment import Character
from htr.image import Grey
from htr.layout.crop import Crop, crop
from htr.layout.finding import find_lines
from htr.layout.geometry import Layout, PageLine, Points
from htr.recogniser import Recogniser


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of a line and where it stands."""

    text: str
    """Without spaces."""
    polygon: Points
    """Top left, top right, bottom right, bottom left on the page, along the line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineReading:
    """One line of a page and what was read on it."""

    line: PageLine
    text: str
    confidence: float
    """Calibrated probability that the whole line is right, from 0 to 1."""
    words: tuple[Word, ...]
    """In reading order; joined by single spaces they are the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageReading:
    """What was read on one page."""

    width: int
    """Pixels of the page image."""
    height: int
    skew_degrees: float
    """How far the lines run downhill to the right, as a whole."""
    lines: tuple[LineReading, ...]
    """In reading order."""

    @property
    def text(self) -> str:
        """One line of text a line of writing, an empty one between two blocks."""
        parts: list[str] = []
        for before, line in zip((None, *self.lines), self.lines, strict=False):
            if before is not None and before.line.region != line.line.region:
                parts.append("")
            parts.append(line.text)
        return "\n".join(parts)


def read_page(recogniser: Recogniser, grey: Grey) -> PageReading:
    """Find the lines of a page and read them.

    Args:
        recogniser: reads the lines.
        grey: the page, shape (height, width).

    Raises:
        ImageError: the image is too small to be a page.
    """
    return read_layout(recogniser, grey, find_lines(grey))


def read_layout(recogniser: Recogniser, grey: Grey, layout: Layout) -> PageReading:
    """Read lines that are known already: found by `find_lines`, or marked by a person."""
    page = 255 - grey if layout.dark else grey
    return PageReading(
        width=layout.width,
        height=layout.height,
        skew_degrees=layout.skew_degrees,
        lines=tuple(_read_line(recogniser, page, line) for line in layout.lines),
    )


def _read_line(recogniser: Recogniser, page: Grey, line: PageLine) -> LineReading:
    piece = crop(page, line)
    (reading,) = recogniser.read_grey([piece.grey], characters=True)
    return LineReading(
        line=line,
        text=reading.text,
        confidence=reading.confidence,
        words=words_of(piece, reading.characters or ()),
    )


def words_of(piece: Crop, characters: Sequence[Character]) -> tuple[Word, ...]:
    """Return the words of a line's text, and where they stand on the page.

    Args:
        piece: the line as it was cut out.
        characters: of its reading, in order.
    """
    words: list[Word] = []
    run: list[Character] = []
    for one in (*characters, None):
        if one is not None and not one.character.isspace():
            run.append(one)
        elif run:
            left, right = min(c.left for c in run), max(c.right for c in run)
            text = "".join(c.character for c in run)
            words.append(Word(text=text, polygon=piece.place(left, max(right, left + 1))))
            run = []
    return tuple(words)
