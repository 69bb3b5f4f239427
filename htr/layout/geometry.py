"""Lines on a page as polygons, and what can be told from their shapes alone.

Points are (x, y) in pixels of the page image, EXIF rotation applied, the origin at the top left corner.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Points = tuple[Point, ...]
Mask = npt.NDArray[np.bool_]
Affine = npt.NDArray[np.float64]
"""A 2 x 3 matrix that takes (x, y, 1) to (x, y)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLine:
    """One line of writing on a page."""

    polygon: Points
    """The outline of its ink, at least three points, not closed."""
    baseline: Points
    """What the letters stand on, from left to right, at least two points."""
    region: int = 0
    """Number of the block that the line belongs to; blocks are numbered in reading order."""

    def __post_init__(self) -> None:
        if len(self.polygon) < 3 or len(self.baseline) < 2:
            raise ValueError(f"a line has an outline and a baseline, got {self.polygon!r} and {self.baseline!r}")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the outline."""
        xs, ys = zip(*self.polygon, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def angle(self) -> float:
        """Angle of the line through the baseline in radians, positive where it runs downhill to the right."""
        x, y = np.asarray(self.baseline, np.float64).T
        if x[-1] - x[0] < 1 or (np.diff(x) <= 0).any():
            return math.atan2(y[-1] - y[0], x[-1] - x[0])
        at = np.linspace(x[0], x[-1], 50)
        return math.atan(float(np.polyfit(at, np.interp(at, x, y), 1)[0]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The lines of one page, in reading order."""

    width: int
    """Pixels of the page image."""
    height: int
    lines: tuple[PageLine, ...]
    dark: bool = False
    """Whether the writing is lighter than the paper."""
    skew_degrees: float = 0.0
    """How far the lines run downhill to the right, as a whole."""


def transform(points: Sequence[Point] | npt.NDArray[np.float64], matrix: Affine) -> npt.NDArray[np.float64]:
    """Return the points, shape (n, 2), where an affine map takes them."""
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return xy @ matrix[:, :2].T + matrix[:, 2]


def fill_polygon(points: npt.NDArray[np.float64], width: int, height: int) -> Mask:
    """Return the pixels that a polygon covers, its edge included, shape (height, width)."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32).reshape(-1, 1, 2)], 1)
    return mask.astype(bool)


def overlap(first: Points, second: Points) -> tuple[int, int]:
    """Return the pixels that both polygons cover, and those that at least one does."""
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.floor(np.minimum(one.min(axis=0), two.min(axis=0)))
    width, height = (np.ceil(np.maximum(one.max(axis=0), two.max(axis=0))) - low).astype(int) + 1
    a, b = fill_polygon(one - low, width, height), fill_polygon(two - low, width, height)
    return int((a & b).sum()), int((a | b).sum())


def iou(first: Points, second: Points) -> float:
    """Return intersection over union of the areas of two polygons, 0..1; polygons far apart cost nothing."""
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if (one.max(axis=0) < two.min(axis=0)).any() or (two.max(axis=0) < one.min(axis=0)).any():
        return 0.0
    shared, covered = overlap(first, second)
    return shared / max(1, covered)
