"""Files and folders of pages in, one folder of readings out; a batch that was stopped goes on where it was.

Every page gets a JSON file (`htr.pages.to_json`), written last, and whatever else is asked for, made of it. A
page whose JSON tells of the same bytes, model and segmentation is not read again.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from htr.errors import DataError, ImageError, OutputError, SettingsError
from htr.layout.files import SUFFIXES, PageFile, PageImage
from htr.layout.finding import SEGMENTATION_VERSION
from htr.layout.overlay import overlay
from htr.pages.reading import PageReading, read_page
from htr.pages.to_json import Origin, page_json, parse_page_json
from htr.pages.to_pdf import PdfWriter
from htr.pages.to_xml import alto_xml, page_xml
from htr.recogniser import Recogniser

JSON = "json"
PDF = "pdf"
ENDINGS = {
    JSON: ".json",
    "text": ".txt",
    "alto": ".alto.xml",
    "page": ".page.xml",
    "overlay": ".overlay.jpg",
    PDF: ".pdf",
}
"""What can be written -> the end of its file name; a PDF holds all pages of its file, the others one page each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One file of pages, and where its readings go."""

    source: Path
    stem: Path
    """Path below the output folder, without an ending but the file's own, so that a.jpg and a.png differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of one page, or of a file that could not be opened."""

    source: Path
    page: int
    num_pages: int
    lines: int = 0
    read: bool = False
    """False: an earlier run had read it."""
    error: str = ""
    """Why it could not be read."""


def collect(inputs: Sequence[Path]) -> list[Task]:
    """List the files of pages: those named, and those in the folders named and below, sorted.

    Raises:
        DataError: there is no such file or folder, or no page in any.
        SettingsError: two files would be written to the same place.
    """
    tasks: list[Task] = []
    for given in inputs:
        if given.is_dir():
            found = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            tasks += [Task(source=path, stem=path.relative_to(given)) for path in found]
        elif given.is_file():
            tasks.append(Task(source=given, stem=Path(given.name)))
        else:
            raise DataError(f"{given}: there is no such file or folder; check the path")
    if not tasks:
        names = ", ".join(map(str, inputs))
        raise DataError(f"{names}: no pages there; files must end in one of {', '.join(SUFFIXES)}")
    places: dict[Path, Path] = {}
    for task in tasks:
        other = places.setdefault(task.stem, task.source)
        if other != task.source:
            raise SettingsError(f"{other} and {task.source} would be written to the same place; run them apart")
    return list({task.stem: task for task in tasks}.values())


def read_pages(recogniser: Recogniser, task: Task, out: Path, formats: Sequence[str]) -> Iterator[Done]:
    """Read one file page by page and write what is asked for; lazily, so that callers can show progress.

    A file that cannot be opened, or a page that cannot be decoded, is told of and ends the file.

    Args:
        recogniser: reads the lines.
        task: the file.
        out: folder to write to; made where missing.
        formats: keys of ENDINGS; JSON is always written.

    Raises:
        OutputError: something cannot be written.
    """
    page, num_pages = 0, 0
    try:
        file = PageFile.open(task.source)
        num_pages = file.num_pages
        pieces = [_Piece(recogniser, file, number, out / task.stem, formats) for number in range(1, num_pages + 1)]
        document = out / (str(task.stem) + ENDINGS[PDF])
        all_known = all(piece.known for piece in pieces)
        make_pdf = PDF in formats and not (document.is_file() and all_known)
        if not all_known:
            _remove(document)
        wanted = {piece.number for piece in pieces if make_pdf or not piece.finished}
        with ExitStack() as stack:
            pdf = stack.enter_context(PdfWriter(_made(document))) if make_pdf else None
            images = file.pages(wanted)
            for piece in pieces:
                page = piece.number
                image = next(images) if page in wanted else None
                reading, fresh = piece.finish(image)
                if pdf is not None and image is not None:
                    pdf.add(image.image, reading, dpi=image.dpi)
                yield Done(
                    source=task.source, page=page, num_pages=num_pages, lines=len(reading.lines), read=fresh
                )
    except ImageError as error:
        yield Done(source=task.source, page=page, num_pages=num_pages, error=str(error))


class _Piece:
    """One page of a file: what is known of it, and what is still to be written."""

    def __init__(
        self, recogniser: Recogniser, file: PageFile, number: int, stem: Path, formats: Sequence[str]
    ) -> None:
        self.number = number
        self._recogniser = recogniser
        self._stem = stem if file.num_pages == 1 else stem.with_name(f"{stem.name}.{number:04d}")
        self._formats = [name for name in formats if name not in {JSON, PDF}]
        self._origin = Origin(
            file=file.name,
            digest=file.digest,
            page=number,
            num_pages=file.num_pages,
            bundle=recogniser.digest,
            segmentation=SEGMENTATION_VERSION,
        )
        self._before = self._earlier()

    @property
    def known(self) -> bool:
        """Whether an earlier run read the page."""
        return self._before is not None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to write."""
        return self.known and not self._missing()

    def finish(self, image: PageImage | None) -> tuple[PageReading, bool]:
        """Read the page unless it is known, and write what is missing; the image is None where nothing is."""
        reading, fresh = self._before, False
        if reading is None:
            if image is None:
                raise AssertionError("a page that is not known was not decoded")
            for name in ENDINGS.keys() - {PDF}:  # what was made of another reading must not lie beside this one
                _remove(self._path(ENDINGS[name]))
            reading, fresh = read_page(self._recogniser, image.grey()), True
        for name in self._missing():
            _write(self._path(ENDINGS[name]), self._content(name, reading, image))
        if fresh:
            _write(self._path(ENDINGS[JSON]), page_json(reading, self._origin).encode())
        return reading, fresh

    def _content(self, name: str, reading: PageReading, image: PageImage | None) -> bytes:
        if name == "text":
            return (reading.text + "\n").encode()
        if name == "alto":
            return alto_xml(reading, file_name=self._origin.file, page=self.number).encode()
        if name == "page":
            return page_xml(reading, file_name=self._origin.file, created=datetime.now(UTC)).encode()
        if image is None:
            raise AssertionError("a page that an overlay is wanted of was not decoded")
        drawn = io.BytesIO()
        overlay(image.image, tuple(line.line for line in reading.lines)).save(drawn, "JPEG", quality=85)
        return drawn.getvalue()

    def _missing(self) -> list[str]:
        return [name for name in self._formats if not self._path(ENDINGS[name]).is_file()]

    def _earlier(self) -> PageReading | None:
        try:
            reading, origin = parse_page_json(self._path(ENDINGS[JSON]))
        except DataError:  # none, or of another version, or damaged: it is made anew
            return None
        return reading if origin == self._origin else None

    def _path(self, ending: str) -> Path:
        return self._stem.with_name(self._stem.name + ending)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        _made(path)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error


def _remove(path: Path) -> None:
    try:
        if path.is_file():
            path.unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror}); choose another --out") from error


def _made(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror}); choose another --out") from error
    return path
