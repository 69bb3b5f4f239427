"""A line's outline on a page -> the upright picture of that line alone, as the recogniser learnt to read it.

The lines that the shipped model learnt from were cut in the same way: turned by the angle of the baseline, what
lies outside the outline painted over with paper.
"""

import io
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from htr.image import MAX_PIXELS, MIN_HEIGHT, Grey
from htr.layout.geometry import Affine, Mask, PageLine, Points, fill_polygon, transform

MIN_TURN_DEGREES = 0.4
"""Lines that are straighter are not turned: resampling would only blur them."""
WIDENING = 0.06
"""The outline is widened by this share of the line's mean height, for ink at its very edge."""
PAPER_PERCENTILE = 80
"""Grey level inside the outline that what is outside is painted with."""
PNG_LEVEL = 1
"""Of compression, 0..9: more takes longer and saves little."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Crop:
    """One line cut out of its page."""

    grey: Grey
    """Shape (height, width)."""
    mask: Mask
    """Which of its pixels lie inside the outline."""
    to_page: Affine
    """Takes a point of the crop to its place on the page."""

    def place(self, left: float, right: float) -> Points:
        """Return the four corners, on the page, of the part of the line between two columns of the crop.

        Top and bottom are those of the outline there; corners are top left, top right, bottom right, bottom left.
        """
        height, width = self.mask.shape
        first = min(max(0, math.floor(left)), width - 1)
        end = min(max(first + 1, math.ceil(right)), width)
        (rows,) = np.nonzero(self.mask[:, first:end].any(axis=1))
        top, bottom = (float(rows[0]), float(rows[-1] + 1)) if len(rows) else (0.0, float(height))
        corners = transform([(left, top), (right, top), (right, bottom), (left, bottom)], self.to_page)
        return tuple((float(x), float(y)) for x, y in corners)


def crop(grey: Grey, line: PageLine) -> Crop:
    """Cut one line out of a page.

    Args:
        grey: the page, dark writing on light paper.
        line: in the page's pixels; parts outside the page are cut off.

    Returns:
        The line with its baseline level, at least MIN_HEIGHT pixels high, at the page's resolution; shrunk where
        it would have more pixels than a line may.
    """
    outline = np.asarray(line.polygon, np.float64)
    angle = line.angle
    if abs(math.degrees(angle)) <= MIN_TURN_DEGREES:
        angle = 0.0
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    frame = _Frame.around(transform(outline, turn))
    excess = frame.width * frame.height / MAX_PIXELS
    if excess > 1:
        turn *= 0.99 / math.sqrt(excess)  # a little less: sizes are rounded up
        frame = _Frame.around(transform(outline, turn))
    turn[:, 2] = -frame.low
    flags = cv2.INTER_LINEAR if angle or excess > 1 else cv2.INTER_NEAREST
    warped = cv2.warpAffine(grey, turn, (frame.width, frame.height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    piece = np.asarray(warped, np.uint8)
    mask = fill_polygon(frame.points - frame.low, frame.width, frame.height).astype(np.uint8)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * frame.margin + 1, 2 * frame.margin + 1))
    inside = cv2.dilate(mask, around).astype(bool)
    piece[~inside] = np.percentile(piece[inside], PAPER_PERCENTILE)
    return Crop(grey=piece, mask=inside, to_page=np.asarray(cv2.invertAffineTransform(turn)))


def encode_crop(grey: Grey) -> bytes:
    """Return a line's picture as PNG, which the line route decodes to the same pixels."""
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=PNG_LEVEL)
    return out.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Frame:
    """The upright box around an outline that was turned level, with some room."""

    points: npt.NDArray[np.float64]
    """The outline, shape (n, 2)."""
    margin: int
    low: npt.NDArray[np.float64]
    """Its upper left corner."""
    width: int
    height: int

    @classmethod
    def around(cls, points: npt.NDArray[np.float64]) -> "_Frame":
        area = float(cv2.contourArea(points.astype(np.float32)))
        extent = points.max(axis=0) - points.min(axis=0)
        margin = max(1, round(WIDENING * area / max(1.0, float(extent[0]))))
        low = np.floor(points.min(axis=0)) - margin
        width, height = (int(n) for n in np.ceil(points.max(axis=0)) + margin - low + 1)
        return cls(points=points, margin=margin, low=low, width=width, height=max(height, MIN_HEIGHT))
