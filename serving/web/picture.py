"""Files and drawings in, pictures that a browser shows out."""

import base64
import binascii
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from htr.errors import ImageError
from htr.image import open_image, to_grey
from htr.layout.files import PageFile

MAX_SIDE = 1600
"""Pixels of a preview; larger pictures are shrunk."""
MAX_PAGES = 20
"""Of one file; more are not read at once, so that one person's book does not keep all others waiting."""
QUALITY = 80
MARGIN = 12
"""Pixels of paper left around a drawing."""
MAX_DRAWING = 4 * 1024 * 1024
"""Characters of a drawing's address."""
_PNG_ADDRESS = "data:image/png;base64,"
LINE_ASPECT = 4.0
"""Width over height from which on a picture is taken for one line."""
LINE_HEIGHT = 300
"""Pixels; in a picture that is no higher, a page of writing could not be read anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One page of a file, ready to be shown."""

    number: int
    """Page of the file, from 1."""
    width: int
    """Pixels, upright, before it was shrunk."""
    height: int
    preview: bytes
    """A JPEG."""

    @property
    def is_line(self) -> bool:
        """Whether it has the shape of one line."""
        return self.height <= LINE_HEIGHT or self.width >= LINE_ASPECT * self.height


def open_pictures(path: Path) -> list[Picture]:
    """Return previews of the pages of a file.

    Raises:
        ImageError: it cannot be read, or holds more than MAX_PAGES pages.
    """
    file = PageFile.open(path)
    if file.num_pages > MAX_PAGES:
        raise ImageError(
            "too_large",
            f"the file has {file.num_pages} pages, at most {MAX_PAGES} are read at once here; "
            "split it, or read it with: python -m htr pages",
        )
    return [_picture(page.number, page.image) for page in file.pages()]


def picture_of(data: bytes) -> Picture:
    """Return the preview of one line's image.

    Raises:
        ImageError: it cannot be read.
    """
    page = next(iter(PageFile.of_bytes(data).pages()))
    return _picture(page.number, page.image)


def drawing_of(address: object) -> bytes:
    """Return the PNG in the data: address that the drawing field sends.

    Raises:
        ImageError: it is no such address, or of more than MAX_DRAWING bytes.
    """
    text = str(address)
    if not text.startswith(_PNG_ADDRESS) or len(text) > MAX_DRAWING:
        raise ImageError("undecodable", "the drawing did not arrive whole; draw it again")
    try:
        return base64.b64decode(text.removeprefix(_PNG_ADDRESS), validate=True)
    except binascii.Error as error:
        raise ImageError("undecodable", "the drawing did not arrive whole; draw it again") from error


def trimmed(drawing: bytes) -> bytes:
    """Return a drawing without the empty paper around it, as a grey PNG.

    Raises:
        ImageError: nothing is drawn, or it is no image.
    """
    with open_image(drawing) as image:
        grey = to_grey(_on_white(image))
    rows, columns = np.nonzero(grey < 128)
    if not len(rows):
        raise ImageError("empty", "nothing is drawn yet; write a line with mouse, pen or finger")
    top, left = max(0, rows.min() - MARGIN), max(0, columns.min() - MARGIN)
    piece = grey[top : rows.max() + MARGIN + 1, left : columns.max() + MARGIN + 1]
    out = io.BytesIO()
    Image.fromarray(piece).save(out, "PNG")
    return out.getvalue()


def _picture(number: int, image: Image.Image) -> Picture:
    factor = min(1.0, MAX_SIDE / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    small = image if factor == 1.0 else image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    small.convert("RGB").save(out, "JPEG", quality=QUALITY)
    return Picture(number=number, width=image.width, height=image.height, preview=out.getvalue())


def _on_white(image: Image.Image) -> Image.Image:
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
