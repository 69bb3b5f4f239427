"""Image bytes -> line tensor: the only preprocessing in the project, for training, evaluation and serving.

Shapes: a grey image is (height, width) uint8, 0 black; a line tensor is (1, H, W) float32, 0 paper, 1 ink,
so that padding with zeros is padding with paper.
"""

import hashlib
import io
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from htr.errors import ImageError
from htr.levels import Levels, measure_levels

Grey = npt.NDArray[np.uint8]
LineTensor = npt.NDArray[np.float32]

MAX_PIXELS = 8_000_000
"""A line of more pixels is refused before it is decoded (decompression bombs)."""
MIN_HEIGHT = 4
"""Pixels; no letter can be told in fewer, and what comes that small is a broken export."""
MAX_PAGE_PIXELS = 80_000_000
"""The same for a whole page: A3 at 600 dots an inch has 70 million."""
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""What is decoded at all: Pillow's other decoders start programs or fail in ways of their own."""
MAX_SCANS = 100
"""A JPEG of more passes over its pixels is refused: real ones have about ten, and each costs a decoding."""
PREPROCESSING_VERSION = 1
"""Raise it whenever `decode` or `line_tensor` gives other numbers: old bundles are then refused, not misread."""
_ORIENTATION = 0x0112
_FOREIGN = {
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"8BPS": "a Photoshop file",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"\x00\x00\x01\x00": "an icon",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "a gzip archive",
    b"AT&TFORM": "a DjVu document",
}
"""First bytes of files that people mistake for images that we read, by what to call them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How a line is scaled before the network sees it; kept in the bundle."""

    height: int = 32
    """Pixels; every line is scaled to it, its aspect kept."""
    min_width: int = 16
    """Pixels; narrower lines are padded with paper."""
    max_width: int = 2048
    """Pixels; wider lines are squeezed to it."""
    column_step: int = 4
    """Pixels that share one time step; every width is padded with paper to a multiple of it."""

    def __post_init__(self) -> None:
        if not 8 <= self.height <= 512 or not 1 <= self.min_width <= self.max_width:
            raise ValueError(f"impossible geometry: {self}")

    def fingerprint(self) -> str:
        """Return a short digest of the preprocessing: equal only where the same bytes give the same tensor."""
        return hashlib.sha256(repr((PREPROCESSING_VERSION, sorted(asdict(self).items()))).encode()).hexdigest()[
            :16
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A decoded image, with what had to be done on the way."""

    grey: Grey
    turned: bool = False
    """Its EXIF block says that it lies on its side, upside down or mirrored; it was set upright."""
    more_frames: bool = False
    """It has several frames or pages; only the first was decoded."""


def probe(data: bytes) -> tuple[int, int]:
    """Return (width, height) of an encoded image without decoding its pixels.

    Raises:
        ImageError: it is not an image, too large or too small.
    """
    with open_image(data) as image:
        return image.size


def decode(data: bytes) -> Grey:
    """Decode an image to grey: EXIF rotation applied, alpha on white paper, 16-bit and CMYK handled.

    Raises:
        ImageError: empty, undecodable, of a kind that is not read, too large or too small.
    """
    return decode_first(data).grey


def decode_first(data: bytes) -> Decoded:
    """Decode the first frame of an image as `decode` does, and say what had to be done.

    Raises:
        ImageError: see `decode`.
    """
    with open_image(data) as image:
        grey = to_grey(load_upright(image))
        return Decoded(grey=grey, turned=is_turned(image), more_frames=has_more_frames(image))


def line_tensor(grey: Grey, geometry: Geometry, levels: Levels | None = None) -> LineTensor:
    """Scale a grey line to the network's height and stretch its contrast to 0 (paper) .. 1 (ink).

    Light writing on dark paper is turned over: what covers most of the image is taken for paper.

    Args:
        grey: the decoded line.
        geometry: how the network wants it.
        levels: those of the line, where they were measured already.
    """
    levels = levels or measure_levels(grey)
    paper, ink = levels.paper, levels.ink
    height = geometry.height
    width = scaled_width(grey, geometry)
    scaled = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    values = np.asarray(scaled, dtype=np.float32)
    tensor = np.clip((paper - values) / (paper - ink), 0.0, 1.0)
    step = geometry.column_step
    padded = -(-max(width, geometry.min_width) // step) * step
    tensor = np.pad(tensor, ((0, 0), (0, padded - width)))
    return np.ascontiguousarray(tensor[None], dtype=np.float32)


def scaled_width(grey: Grey, geometry: Geometry) -> int:
    """Return the width in pixels that `line_tensor` scales a line to, before it pads it."""
    return max(1, min(_width_at_height(grey, geometry), geometry.max_width))


def is_squeezed(grey: Grey, geometry: Geometry) -> bool:
    """Return whether a line is wider than is read at its height, so that `line_tensor` makes it narrower."""
    return _width_at_height(grey, geometry) > geometry.max_width


def _width_at_height(grey: Grey, geometry: Geometry) -> int:
    width: int = round(grey.shape[1] * geometry.height / grey.shape[0])
    return width


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an encoded image without decoding its pixels; the caller closes it.

    Args:
        data: encoded as in a file; of several frames the first one is checked.
        max_pixels: more are refused.

    Raises:
        ImageError: empty, not an image, too large or too small.
    """
    if not data:
        raise ImageError("empty", "image has no bytes; check that the file was copied whole")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
    except Image.DecompressionBombError as error:
        raise ImageError(
            "too_large", f"image has far more than the {max_pixels} pixels that are read; cut it into lines first"
        ) from error
    except Exception as error:  # the same freedom: see decode
        if kind := _foreign_kind(data):
            raise ImageError("unsupported", f"{kind} is not read; send one of {', '.join(FORMATS)}") from error
        raise ImageError(
            "undecodable", f"bytes are not an image of a known kind; send one of {', '.join(FORMATS)}"
        ) from error
    if width * height > max_pixels:
        raise ImageError(
            "too_large",
            f"image has {width} x {height} pixels, at most {max_pixels} are read; cut it into lines",
        )
    if height < MIN_HEIGHT:
        raise ImageError(
            "too_small",
            f"image has {width} x {height} pixels, a line is at least {MIN_HEIGHT} high; export it again",
        )
    if image.format in {"JPEG", "MPO"} and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageError(
            "too_large", f"JPEG of more than {MAX_SCANS} passes over its pixels; save it again, not progressive"
        )
    return image


def _foreign_kind(data: bytes) -> str:
    """Return what a file is that is none of FORMATS, or "" where nothing is recognised."""
    for magic, kind in _FOREIGN.items():
        if data.startswith(magic):
            return kind
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "an XML file" if head.startswith(b"<?xml") else ""


def is_turned(image: Image.Image) -> bool:
    """Return whether the EXIF block says that a picture lies on its side, upside down or mirrored."""
    try:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # damaged, and then `load_upright` found nothing either
        return False


def has_more_frames(image: Image.Image) -> bool:
    """Return whether there are several frames or pages; the image stands at the second one afterwards."""
    if image.format not in FORMATS:  # the second picture of a phone's JPEG (MPO) is no page
        return False
    try:
        image.seek(1)
    except Exception:  # EOFError where there is none; whatever they like where it is damaged
        return False
    return True


def _damaged() -> ImageError:
    return ImageError("undecodable", "image is damaged or cut off; scan, export or copy it again")


def load_upright(image: Image.Image) -> Image.Image:
    """Return the current frame decoded and turned as the camera was held; it outlives the file.

    Raises:
        ImageError: the image is damaged.
    """
    try:
        image.load()
    except Exception as error:  # decoders of damaged images raise whatever they like, struct.error included
        raise _damaged() from error
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block says nothing about how the camera was held
        return image.copy()


def to_grey(image: Image.Image) -> Grey:
    """Return the grey levels of a decoded image: alpha on white paper, 16-bit and CMYK handled.

    Raises:
        ImageError: the pixels cannot be converted.
    """
    try:
        return _grey_levels(image)
    except Exception as error:  # Pillow's conversions of rare modes raise whatever they like
        raise _damaged() from error


def _grey_levels(image: Image.Image) -> Grey:
    if image.mode in {
        "I",
        "I;16",
        "I;16B",
        "I;16L",
        "F",
    }:  # Pillow's own conversion would clip these to white
        values = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are no numbers")
        low, high = min(0.0, float(values.min())), float(values.max())
        # How many bits a scanner had is written nowhere: the fewest that hold the brightest pixel.
        depths = [1.0] if image.mode == "F" else [255.0, 4095.0, 65535.0]
        top = next((depth for depth in depths if depth >= high), high)
        return np.asarray(np.clip((values - low) / (top - low) * 255.0, 0, 255), dtype=np.uint8)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(paper, rgba)
    return np.asarray(image.convert("L"), dtype=np.uint8)
