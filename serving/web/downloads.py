"""Readings in, files to take away out: what was corrected stands in them as it was corrected."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from htr.errors import ImageError
from htr.layout.files import PageFile
from htr.pages.to_pdf import PdfWriter
from htr.pages.to_xml import alto_xml, page_xml
from serving.web.reading import Work

ENDINGS = {"text": ".txt", "alto": ".alto.xml", "page": ".page.xml", "pdf": ".pdf"}
"""Formats and the ends of their file names. Text and PDF hold all pages of a file, the others the one shown."""


def write_download(
    work: Work, wanted: str, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Path:
    """Write what was read and corrected in one format.

    Args:
        work: with at least one sheet.
        wanted: one of ENDINGS.
        folder: where the file goes; it is there.
        clock: says when the file was made.

    Returns:
        The file, named after the one that was read.

    Raises:
        ImageError: a PDF needs the picture, which is no longer kept.
    """
    many = len(work.sheets) > 1 and wanted in {"alto", "page"}
    number = work.sheets[work.sheet].number
    path = folder / f"{Path(work.name).stem}{f'.{number:04}' if many else ''}{ENDINGS[wanted]}"
    if wanted == "pdf":
        _write_pdf(work, path)
    elif wanted == "text":
        texts = [work.page_reading(sheet).text for sheet in range(len(work.sheets))]
        path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    elif wanted == "alto":
        reading = work.page_reading(work.sheet)
        path.write_text(alto_xml(reading, file_name=work.name, page=number), encoding="utf-8")
    else:
        reading = work.page_reading(work.sheet)
        path.write_text(page_xml(reading, file_name=work.name, created=clock()), encoding="utf-8")
    return path


def _write_pdf(work: Work, path: Path) -> None:
    if work.source is None or not work.source.is_file():
        raise ImageError("unreadable", "its picture is no longer kept here; drop it again for a PDF")
    with PdfWriter(path) as writer:
        for sheet, page in enumerate(PageFile.open(work.source).pages()):
            writer.add(page.image, work.page_reading(sheet), dpi=page.dpi)
