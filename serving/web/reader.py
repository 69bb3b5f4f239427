"""A file or a drawing in, what the server read on it out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from htr.errors import ImageError
from htr.image import MAX_PIXELS
from htr.layout.geometry import PageLine
from htr.pages.reading import Word
from serving.client import Client, LineRead
from serving.web.picture import Picture, open_pictures, trimmed
from serving.web.reading import LINE, PAGE, SeenLine, Sheet, Work, letters_of

AUTOMATIC = "automatic"
NUM_OTHERS = 5
"""Texts a line that the server is asked for, the reading included."""
MAX_NAME = 120
"""Characters of a file's name that a correction carries as the page's."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads by one server."""

    client: Client

    def read_file(self, path: Path, *, kind: str = AUTOMATIC) -> Work:
        """Read a file as a page, or as one line.

        By itself a picture is a line where it has the shape of one, or where no second line is found on it.

        Args:
            path: an image or a PDF.
            kind: AUTOMATIC, PAGE or LINE.

        Raises:
            ImageError: the file cannot be opened here.
            ServiceError: the server is away, busy, or refuses it.
        """
        pictures = open_pictures(path)
        data = path.read_bytes()
        first = pictures[0]
        may_be_line = len(pictures) == 1 and not data.startswith(b"%PDF")
        if kind == LINE and not may_be_line:
            raise ImageError(
                "unsupported", "a PDF or a file of several pages is no single line; read it as a page"
            )
        if kind == LINE or (kind == AUTOMATIC and may_be_line and first.is_line):
            return _work(path, [self._line(data, first, name=path.name)])
        sheets = self._pages(data, pictures, name=path.name)
        if kind == AUTOMATIC and may_be_line and _is_small(first) and len(sheets[0].lines) < 2:
            sheets = [self._line(data, first, name=path.name)]
        return _work(path, sheets)

    def read_drawing(self, drawing: bytes, path: Path) -> Work:
        """Read what was drawn as one line.

        Args:
            drawing: a PNG, dark on white or on nothing.
            path: where the drawing is kept, trimmed, as a file like any other.

        Raises:
            ImageError: nothing is drawn.
            ServiceError: the server is away, busy, or refuses it.
        """
        path.write_bytes(trimmed(drawing))
        return self.read_file(path, kind=LINE)

    def _line(self, data: bytes, picture: Picture, *, name: str) -> Sheet:
        (read,) = self.client.read([data], characters=True, alternatives=NUM_OTHERS)
        return line_sheet(read, picture, page=page_name(data, name))

    def _pages(self, data: bytes, pictures: list[Picture], *, name: str) -> list[Sheet]:
        read = self.client.read_page(data, crops=True, characters=True, alternatives=NUM_OTHERS)
        sheets = []
        for picture, page in zip(pictures, read.pages, strict=True):
            stands_on = page_name(data, name, picture.number)
            lines = tuple(
                _seen(
                    one,
                    PageLine(polygon=one.polygon, baseline=one.baseline, region=one.region),
                    tuple(Word(text=word.text, polygon=word.polygon) for word in one.words),
                    page=stands_on,
                    picture=one.image,
                )
                for one in page.lines
            )
            sheets.append(_sheet(PAGE, picture, lines, page.skew_degrees))
        return sheets


def line_sheet(read: LineRead, picture: Picture, *, page: str) -> Sheet:
    """Return a picture that is one line, as it was read.

    Args:
        read: what was read on it.
        picture: as a browser shows it.
        page: what its correction calls the page; "" where that is not known.
    """
    right, foot = float(picture.width), float(picture.height)
    outline = PageLine(
        polygon=((0.0, 0.0), (right, 0.0), (right, foot), (0.0, foot)),
        baseline=((0.0, 0.75 * foot), (right, 0.75 * foot)),
    )
    words = (Word(text=read.text, polygon=outline.polygon),) if read.text else ()
    return _sheet(LINE, picture, (_seen(read, outline, words, page=page, picture=picture.preview),))


def page_name(data: bytes, name: str, number: int = 1) -> str:
    """Return what a correction calls a page: the file's name, what tells files of one name apart, and the page."""
    return f"{name[:MAX_NAME]} {hashlib.sha256(data).hexdigest()[:12]}" + (f" page {number}" if number > 1 else "")


def _seen(read: LineRead, line: PageLine, words: tuple[Word, ...], *, page: str, picture: bytes) -> SeenLine:
    return SeenLine(
        seen=read,
        picture=picture,
        page=page,
        letters=letters_of(read.text, [(one.character, one.confidence) for one in read.characters]),
        others=tuple(one.text for one in read.alternatives if one.text != read.text),
        line=line,
        words=words,
    )


def _sheet(kind: str, picture: Picture, lines: tuple[SeenLine, ...], skew_degrees: float = 0.0) -> Sheet:
    return Sheet(
        kind=kind,
        number=picture.number,
        width=picture.width,
        height=picture.height,
        preview=picture.preview,
        lines=lines,
        skew_degrees=skew_degrees,
    )


def _work(path: Path, sheets: list[Sheet]) -> Work:
    return Work(source=path, name=path.name, sheets=tuple(sheets))


def _is_small(picture: Picture) -> bool:
    """Return whether a picture may be sent as one line."""
    return picture.width * picture.height <= MAX_PIXELS
