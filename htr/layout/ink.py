"""A page's grey levels -> where there is writing: paper evened out, the photograph's surround and rules taken off.

Shapes: everything is (height, width) of the shrunken page that the search for lines works on.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from htr.image import Grey
from htr.layout.geometry import Affine, Mask
from htr.layout.rules import take_rules_off

WORK_PIXELS = 2_500_000
"""Pages are shrunk to about this many pixels: a letter's body is then 8 to 20 high, which is enough to find it."""
MIN_SIDE = 64
"""Pixels; what is smaller is no page."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ink:
    """The writing of a page, shrunk and level."""

    pen: Mask
    """Pixels that are ink and no rule."""
    walls: Mask
    """Long upright rules, which lines of text do not cross."""
    to_page: Affine
    """Takes a point of these masks to its place on the page."""
    dark: bool
    """Whether the writing is lighter than the paper."""
    skew_degrees: float
    """How far lines ran downhill to the right before the page was made level."""


def find_ink(grey: Grey) -> Ink:
    """Tell writing from paper.

    Args:
        grey: the page as it was photographed or scanned.
    """
    height, width = grey.shape
    factor = min(1.0, math.sqrt(WORK_PIXELS / (height * width)))
    small = _shrunk(grey, factor)
    dark = is_dark(small)
    contrast = darkness(255 - small if dark else small)
    ink = threshold(contrast)
    angle = skew(ink)
    level = cv2.getRotationMatrix2D(((small.shape[1] - 1) / 2, (small.shape[0] - 1) / 2), angle, 1.0)
    if angle:
        turned = cv2.warpAffine(ink.astype(np.uint8) * 255, level, small.shape[::-1], flags=cv2.INTER_LINEAR)
        ink = turned > 127
        contrast = np.asarray(
            cv2.warpAffine(contrast, level, small.shape[::-1], flags=cv2.INTER_LINEAR), np.float32
        )
    pen, walls = take_rules_off(ink, contrast)
    # pixel centres: (x + 0.5) * factor - 0.5 is where the centre x of the page went
    shrink = np.array([[factor, 0, factor / 2 - 0.5], [0, factor, factor / 2 - 0.5], [0, 0, 1]])
    there = np.vstack([level, [0, 0, 1]]) @ shrink
    return Ink(pen=pen, walls=walls, to_page=np.linalg.inv(there)[:2], dark=dark, skew_degrees=angle)


def _shrunk(grey: Grey, factor: float) -> Grey:
    if factor >= 1:
        return grey
    return np.asarray(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def is_dark(grey: Grey) -> bool:
    """Tell whether the writing is lighter than the paper around it: which way the fine detail sticks out."""
    height, width = grey.shape
    middle = grey[height // 8 : height - height // 8, width // 8 : width - width // 8]
    middle = _shrunk(middle, 0.5)
    around = cv2.medianBlur(middle, 31)
    detail = middle.astype(np.int16) - around
    strength = float(np.abs(detail).max()) / 3
    return bool((detail > strength).sum() > (detail < -strength).sum())


def darkness(grey: Grey) -> npt.NDArray[np.float32]:
    """Return how much darker each pixel is than the paper around it, 0 paper .. 1 black.

    The paper's own level is what closing (Soille 2003, chapter 4) leaves where strokes were; a table or a
    scanner's lid around the page, far darker than any paper, counts as paper.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    closed = np.asarray(cv2.morphologyEx(_shrunk(grey, 0.25), cv2.MORPH_CLOSE, disc), np.uint8)
    paper = cv2.resize(cv2.medianBlur(closed, 21), grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    dark = 1.0 - grey.astype(np.float32) / np.maximum(paper, 1)
    surround = _surround(closed).astype(np.uint8)
    dark[cv2.resize(surround, grey.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = 0.0
    return np.clip(dark, 0.0, 1.0)


def _surround(paper: Grey) -> Mask:
    """Return what touches the edge and is far darker than the paper."""
    level = float(np.percentile(paper, 70))
    black = (paper < 0.5 * level).astype(np.uint8)
    count, labels = cv2.connectedComponents(black)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = np.zeros(count, bool)
    outside[edge] = True
    outside[0] = False
    return cv2.dilate(outside[labels].astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)


def threshold(dark: npt.NDArray[np.float32]) -> Mask:
    """Tell ink from paper: a threshold of Otsu's kind between the two, lower where the writing is faint.

    What is surely ink (Otsu 1979) sets the level; fainter pixels count where they touch it (hysteresis,
    Canny 1986).
    """
    levels = np.rint(dark * 255).astype(np.uint8)
    seen = levels[levels > 12]
    if not len(seen):
        return np.zeros(dark.shape, bool)
    otsu, _ = cv2.threshold(seen.reshape(1, -1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    high = min(max(otsu, 30.0), 110.0)
    count, labels = cv2.connectedComponents((levels > 0.6 * high).astype(np.uint8))
    sure = np.zeros(count, bool)
    sure[np.unique(labels[levels > high])] = True
    sure[0] = False
    return np.asarray(sure[labels], bool)


def skew(ink: Mask) -> float:
    """Return by how many degrees lines run downhill to the right: where row sums differ most (Postl 1986)."""
    width = ink.shape[1]
    factor = min(1.0, 600 / width)
    shrunk = cv2.resize(ink.astype(np.float32), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    small = np.asarray(shrunk, np.float32)
    best, reach = 0.0, 8.0
    for step in (1.0, 0.25):
        angles = best + np.arange(-reach, reach + step / 2, step)
        scores = [_sharpness(small, float(angle)) for angle in angles]
        best, reach = float(angles[int(np.argmax(scores))]), step
    return best if _sharpness(small, best) > 1.05 * _sharpness(small, 0.0) else 0.0


def _sharpness(small: npt.NDArray[np.float32], angle: float) -> float:
    height, width = small.shape
    slope = math.tan(math.radians(angle))
    shear = np.array([[1.0, 0.0, 0.0], [-slope, 1.0, slope * width / 2]])
    rows = cv2.warpAffine(small, shear, (width, height), flags=cv2.INTER_LINEAR).sum(axis=1)
    return float(np.square(np.diff(rows)).sum())
