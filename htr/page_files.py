"""A file of pages in, page images out: PNG, JPEG, WEBP, BMP, GIF, TIFF of any number of pages, PDF.

PDF pages are drawn by PDFium, everything else is decoded by Pillow through `htr.image`, as lines are.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from PIL import Image

from htr.errors import ImageError
from htr.image import MAX_PAGE_PIXELS, Grey, load_upright, open_image, to_grey

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".pdf")
"""What is looked for in a folder; a file that is named is opened whatever its name."""
PDF_DPI = 250
"""Dots an inch at which PDF pages are drawn: handwriting of 3 mm is then 30 pixels high."""
DEFAULT_DPI = 300
"""Where an image does not say how large its paper is."""
_POINTS_PER_INCH = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class PageImage:
    """One page as it was decoded."""

    number: int
    """Page of the file, from 1."""
    image: Image.Image
    """Upright, in colour (RGB) or grey (L), whatever the file holds; what is transparent is white."""
    dpi: float
    """Dots an inch, as the file says or by default."""

    def grey(self) -> Grey:
        """Return the page's grey levels, shape (height, width).

        Raises:
            ImageError: the pixels cannot be converted.
        """
        return to_grey(self.image)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageFile:
    """The bytes of one file, and how many pages are in them."""

    path: Path
    data: bytes
    num_pages: int

    @classmethod
    def open(cls, path: Path) -> "PageFile":
        """Read a file and count its pages.

        Raises:
            ImageError: the file cannot be read, is of no known kind, damaged, protected or too large.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError("unreadable", f"{error.strerror}; check the path") from error
        if data[:1024].lstrip().startswith(b"%PDF"):
            document = _open_pdf(data)
            try:
                count = len(document)
            finally:
                document.close()
            if not count:
                raise ImageError("empty", "the PDF has no page; export it again")
            return cls(path=path, data=data, num_pages=count)
        with open_image(data, max_pixels=MAX_PAGE_PIXELS) as image:
            # an animated GIF or a JPEG with a preview in it is one picture; only TIFF is used for pages
            return cls(path=path, data=data, num_pages=_frames(image) if image.format == "TIFF" else 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def pages(self, wanted: set[int] | None = None) -> Iterator[PageImage]:
        """Decode the pages in order, one at a time.

        Args:
            wanted: their numbers, from 1; None is all of them.

        Raises:
            ImageError: a page is damaged or too large.
        """
        numbers = [n for n in range(1, self.num_pages + 1) if wanted is None or n in wanted]
        return self._pdf_pages(numbers) if self.data[:1024].lstrip().startswith(b"%PDF") else self._frames(numbers)

    def _frames(self, numbers: list[int]) -> Iterator[PageImage]:
        with open_image(self.data, max_pixels=MAX_PAGE_PIXELS) as image:
            for number in numbers:
                if number > 1:
                    _seek(image, number)
                yield PageImage(number=number, image=_plain(load_upright(image)), dpi=_dpi(image))

    def _pdf_pages(self, numbers: list[int]) -> Iterator[PageImage]:
        document = _open_pdf(self.data)
        try:
            for number in numbers:
                yield _draw(document, number)
        finally:
            document.close()


def _open_pdf(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise ImageError(
            "undecodable", f"the PDF cannot be opened ({error}); remove its password or export it again"
        ) from error


def _draw(document: pypdfium2.PdfDocument, number: int) -> PageImage:
    try:
        page = document[number - 1]
        width, height = (size / _POINTS_PER_INCH * PDF_DPI for size in page.get_size())
        if width * height > MAX_PAGE_PIXELS:
            raise ImageError(
                "too_large",
                f"page {number} is {width:.0f} x {height:.0f} pixels at {PDF_DPI} dots an inch, "
                f"at most {MAX_PAGE_PIXELS} are read; scale it down",
            )
        image = _plain(page.render(scale=PDF_DPI / _POINTS_PER_INCH).to_pil())
        page.close()
    except pypdfium2.PdfiumError as error:
        raise ImageError("undecodable", f"page {number} cannot be drawn ({error}); export it again") from error
    return PageImage(number=number, image=image, dpi=PDF_DPI)


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in a mode that everything can be made from."""
    if image.mode in {"L", "RGB"} and "transparency" not in image.info:
        return image
    if image.mode in {"RGBA", "PA", "P", "CMYK", "YCbCr", "RGB"}:
        try:
            colours = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
        except Exception as error:  # Pillow's conversions of damaged palettes raise whatever they like
            raise ImageError("undecodable", f"image is damaged: {error}; scan or export it again") from error
    return Image.fromarray(to_grey(image))


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # decoders of damaged images raise whatever they like
        raise ImageError("undecodable", f"image is damaged: {error}; scan or export it again") from error


def _seek(image: Image.Image, number: int) -> None:
    try:
        image.seek(number - 1)
    except Exception as error:  # the same freedom
        raise ImageError("undecodable", f"page {number} is damaged: {error}; scan it again") from error
    width, height = image.size
    if width * height > MAX_PAGE_PIXELS:
        raise ImageError(
            "too_large",
            f"page {number} has {width} x {height} pixels, at most {MAX_PAGE_PIXELS} are read; scale it down",
        )


def _dpi(image: Image.Image) -> float:
    """Return what the file says where it can be true; cameras write 72 whatever they photograph."""
    try:
        dpi = float(image.info.get("dpi", (DEFAULT_DPI,))[0])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return DEFAULT_DPI
    return dpi if 100 <= dpi <= 1200 else DEFAULT_DPI
