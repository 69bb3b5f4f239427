"""A PDF's bytes in, pictures of its pages out, drawn by PDFium.

PDFium must not be called from two threads at a time, whatever the documents: a lock is held around every call, and
everything of it is closed there too, not left to the garbage collector of whichever thread.
"""

import threading
from collections.abc import Iterator, Sequence

import pypdfium2
from PIL import Image

from htr.errors import ImageError

PDF_DPI = 250
"""Dots an inch at which pages are drawn: handwriting of 3 mm is then 30 pixels high."""
_POINTS_PER_INCH = 72
_LOCK = threading.RLock()


def is_pdf(data: bytes) -> bool:
    """Return whether bytes begin as a PDF does, or nearly so."""
    return data[:1024].lstrip().startswith(b"%PDF")


def count_pages(data: bytes) -> int:
    """Return how many pages a PDF has, at least one.

    Raises:
        ImageError: it cannot be opened, or has none.
    """
    with _LOCK:
        document = _open(data)
        try:
            count = len(document)
        finally:
            document.close()
    if not count:
        raise ImageError("empty", "the PDF has no page; export it again")
    return count


def draw_pages(data: bytes, numbers: Sequence[int], *, max_pixels: int) -> Iterator[tuple[int, Image.Image]]:
    """Draw pages of a PDF, one at a time.

    Args:
        data: the PDF.
        numbers: pages, from 1.
        max_pixels: a page of more is refused.

    Raises:
        ImageError: it cannot be opened, or a page cannot be drawn or is too large.
    """
    with _LOCK:
        document = _open(data)
    try:
        for number in numbers:
            yield number, _draw(document, number, max_pixels)
    finally:
        with _LOCK:
            document.close()


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise ImageError(
            "undecodable", f"the PDF cannot be opened ({error}); remove its password or export it again"
        ) from error


def _draw(document: pypdfium2.PdfDocument, number: int, max_pixels: int) -> Image.Image:
    try:
        with _LOCK:
            page = document[number - 1]
            try:
                width, height = (size / _POINTS_PER_INCH * PDF_DPI for size in page.get_size())
                if width * height > max_pixels:
                    raise ImageError(
                        "too_large",
                        f"page {number} is {width:.0f} x {height:.0f} pixels at {PDF_DPI} dots an inch, "
                        f"at most {max_pixels} are read; scale it down",
                    )
                drawn = page.render(scale=PDF_DPI / _POINTS_PER_INCH)
                try:
                    copied: Image.Image = drawn.to_pil().copy()  # what to_pil gives is in memory of PDFium's
                    return copied
                finally:
                    drawn.close()
            finally:
                page.close()
    except pypdfium2.PdfiumError as error:
        raise ImageError("undecodable", f"page {number} cannot be drawn ({error}); export it again") from error
