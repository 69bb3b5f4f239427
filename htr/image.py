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
PREPROCESSING_VERSION = 1
"""Raise it whenever `decode` or `line_tensor` gives other numbers: old bundles are then refused, not misread."""


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
        ImageError: empty, undecodable, too large or too small.
    """
    with open_image(data) as image:
        return to_grey(load_upright(image))


def line_tensor(grey: Grey, geometry: Geometry) -> LineTensor:
    """Scale a grey line to the network's height and stretch its contrast to 0 (paper) .. 1 (ink).

    Light writing on dark paper is turned over: what covers most of the image is taken for paper.
    """
    paper, ink = paper_and_ink(grey)
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
    width: int = round(grey.shape[1] * geometry.height / grey.shape[0])
    return max(1, min(width, geometry.max_width))


def paper_and_ink(grey: Grey) -> tuple[float, float]:
    """Return the grey levels of paper and ink; ink is the brighter one on a dark page.

    The two differ by at least 32 levels, so that the noise of a blank line is not stretched into strokes.
    """
    low, middle, high = np.percentile(grey, (1, 50, 99))
    if middle < 128 and high - middle > middle - low:
        return float(middle), float(max(high, middle + 32))
    return float(middle), float(min(low, middle - 32))


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
        raise ImageError("too_large", f"image is too large: {error}; cut it into lines first") from error
    except Exception as error:  # the same freedom: see decode
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
    return image


def load_upright(image: Image.Image) -> Image.Image:
    """Return the current frame decoded and turned as the camera was held; it outlives the file.

    Raises:
        ImageError: the image is damaged.
    """
    try:
        image.load()
    except Exception as error:  # decoders of damaged images raise whatever they like, struct.error included
        raise ImageError("undecodable", f"image is damaged: {error}; scan or export it again") from error
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
        raise ImageError("undecodable", f"image is damaged: {error}; scan or export it again") from error


def _grey_levels(image: Image.Image) -> Grey:
    if image.mode in {
        "I",
        "I;16",
        "I;16B",
        "I;16L",
        "F",
    }:  # Pillow's own conversion would clip these to white
        values = np.asarray(image, dtype=np.float32)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max()))
        return np.asarray(np.clip(values / top * 255.0, 0, 255), dtype=np.uint8)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(paper, rgba)
    return np.asarray(image.convert("L"), dtype=np.uint8)
