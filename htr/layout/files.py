"""A file of pages in, page images out: PNG, JPEG, WEBP, BMP, GIF, TIFF of any number of pages, PDF.

PDF pages are drawn by `htr.layout.pdfium`, everything else is decoded by Pillow through `htr.image`, as lines are.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from htr.errors import ImageError
from htr.image import MAX_PAGE_PIXELS, Grey, has_more_frames, is_turned, load_upright, open_image, to_grey
from htr.layout.pdfium import PDF_DPI, count_pages, draw_pages, is_pdf

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".pdf")
"""What is looked for in a folder; a file that is named is opened whatever its name."""
DEFAULT_DPI = 300
"""Where an image does not say how large its paper is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageImage:
    """One page as it was decoded."""

    number: int
    """Page of the file, from 1."""
    image: Image.Image
    """Upright, in colour (RGB) or grey (L), whatever the file holds; what is transparent is white."""
    dpi: float
    """Dots an inch, as the file says or by default."""
    turned: bool = False
    """Its EXIF block says that it lies on its side, upside down or mirrored; it was set upright."""
    more_frames: bool = False
    """The file has several frames that are no pages, as an animation does; this is the first."""

    def grey(self) -> Grey:
        """Return the page's grey levels, shape (height, width).

        Raises:
            ImageError: the pixels cannot be converted.
        """
        return to_grey(self.image)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageFile:
    """The bytes of one file, and how many pages are in them."""

    name: str
    """Of the file, without folders; "" where it has none."""
    data: bytes
    num_pages: int
    max_pixels: int = MAX_PAGE_PIXELS
    """A page of more is refused before it is decoded."""

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
        return cls.of_bytes(data, name=path.name)

    @classmethod
    def of_bytes(
        cls, data: bytes, *, name: str = "", max_pixels: int = MAX_PAGE_PIXELS, max_pages: int | None = None
    ) -> "PageFile":
        """Count the pages of a file that is in memory already.

        Args:
            data: encoded as in a file.
            name: of the file, without folders.
            max_pixels: a page of more is refused, here or when it is decoded.
            max_pages: a file of more is refused.

        Raises:
            ImageError: the file is of no known kind, damaged, protected or too large.
        """
        if is_pdf(data):
            count = count_pages(data)
        else:
            with open_image(data, max_pixels=max_pixels) as image:
                # an animated GIF or a JPEG with a preview in it is one picture; only TIFF is used for pages
                count = _count_frames(image, max_pages) if image.format == "TIFF" else 1
        if max_pages is not None and count > max_pages:
            raise ImageError(
                "too_large", f"file has more than the {max_pages} pages that are read; send it in several parts"
            )
        return cls(name=name, data=data, num_pages=count, max_pixels=max_pixels)

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
        return self._pdf_pages(numbers) if is_pdf(self.data) else self._frames(numbers)

    def _frames(self, numbers: list[int]) -> Iterator[PageImage]:
        with open_image(self.data, max_pixels=self.max_pixels) as image:
            for number in numbers:
                if number > 1:
                    _seek(image, number, self.max_pixels)
                yield PageImage(
                    number=number,
                    image=_plain(load_upright(image)),
                    dpi=_dpi(image),
                    turned=is_turned(image),
                    more_frames=image.format != "TIFF" and has_more_frames(image),
                )

    def _pdf_pages(self, numbers: list[int]) -> Iterator[PageImage]:
        for number, image in draw_pages(self.data, numbers, max_pixels=self.max_pixels):
            yield PageImage(number=number, image=_plain(image), dpi=PDF_DPI)


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


def _count_frames(image: Image.Image, most: int | None) -> int:
    """Return how many pages a TIFF has, or one more than ``most``: a small file can claim millions."""
    try:
        if most is None:
            return int(getattr(image, "n_frames", 1))
        count = 1
        while count <= most and _has_frame(image, count):
            count += 1
    except Exception as error:  # decoders of damaged images raise whatever they like
        raise ImageError("undecodable", f"image is damaged: {error}; scan or export it again") from error
    return count


def _has_frame(image: Image.Image, index: int) -> bool:
    try:
        image.seek(index)
    except EOFError:
        return False
    return True


def _seek(image: Image.Image, number: int, max_pixels: int) -> None:
    try:
        image.seek(number - 1)
    except Exception as error:  # the same freedom
        raise ImageError("undecodable", f"page {number} is damaged: {error}; scan it again") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            "too_large",
            f"page {number} has {width} x {height} pixels, at most {max_pixels} are read; scale it down",
        )


def _dpi(image: Image.Image) -> float:
    """Return what the file says where it can be true; cameras write 72 whatever they photograph."""
    try:
        dpi = float(image.info.get("dpi", (DEFAULT_DPI,))[0])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return DEFAULT_DPI
    return dpi if 100 <= dpi <= 1200 else DEFAULT_DPI
