"""A page's grey levels -> where there is writing: paper evened out, the photograph's surround and rules taken off.

Shapes: everything is (height, width) of the shrunken page that the search for lines works on.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from htr.image import Grey
from htr.page_geometry import Affine, Mask

WORK_PIXELS = 2_500_000
"""Pages are shrunk to about this many pixels: a letter's body is then 8 to 20 high, which is enough to find it."""
THICKEST = 7
"""Pixels of the shrunken page across a ruled line; where more ink stands, writing crosses it."""
FAINT = 0.03
"""How much darker than its sides a rule is that is no ink, as a share of the paper's grey level."""
LINKED = 0.2
"""Share of the page's height over which two pieces of an upright rule are taken for one."""
STRAY = 12.0
"""Pixels by which they may miss each other."""
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


def take_rules_off(ink: Mask, dark: npt.NDArray[np.float32]) -> tuple[Mask, Mask]:
    """Return the ink without ruled lines, and the long upright rules.

    A rule is thin and has a run of ink far longer than any stroke; what sticks out of it above and below is
    writing that crosses it, and stays (Zheng, Li and Doermann 2005 tell lines from strokes by their runs as well).
    """
    height, width = ink.shape
    binary = ink.astype(np.uint8)
    _, level_ink = _long_runs(binary, length=max(40, width // 14), extent=width // 7)
    upright, upright_ink = _long_runs(binary.T, length=max(40, height // 24), extent=height // 9)
    faint = _faint_rules(dark)
    walls = _linked(upright.T | faint)
    pen = ink & ~level_ink & ~upright_ink.T
    return _without_crumbs(pen, walls), walls


def _linked(walls: Mask) -> Mask:
    """Draw a rule on where the next one begins below its end: between the two it was only too faint."""
    height = walls.shape[0]
    drawn = np.ascontiguousarray(walls, np.uint8)
    count, labels = cv2.connectedComponents(drawn)
    rows, columns = np.nonzero(labels)
    pieces: list[tuple[float, float, float, float]] = []  # top, x there, bottom, x there
    for number in range(1, count):
        mine = labels[rows, columns] == number
        y, x = rows[mine], columns[mine]
        slope, start = np.polyfit(y, x, 1)
        top, bottom = float(y.min()), float(y.max())
        pieces.append((top, start + slope * top, bottom, start + slope * bottom))
    for top, x_top, bottom, x_bottom in pieces:
        slope = (x_bottom - x_top) / max(1.0, bottom - top)
        for next_top, next_x, next_bottom, next_end in pieces:
            gap = next_top - bottom
            next_slope = (next_end - next_x) / max(1.0, next_bottom - next_top)
            astray = abs(x_bottom + slope * gap - next_x) + abs(next_x - next_slope * gap - x_bottom)
            if 0 < gap < LINKED * height and astray < STRAY:
                cv2.line(drawn, (round(x_bottom), round(bottom)), (round(next_x), round(next_top)), 1, 2)
    return drawn.astype(bool)


def _without_crumbs(pen: Mask, walls: Mask) -> Mask:
    """Take off what is left of the edges of thick rules: connected ink most of which hugs one."""
    near = cv2.dilate(walls.astype(np.uint8), np.ones((1, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(pen.astype(np.uint8))
    hugging = np.bincount(labels[near.astype(bool)], minlength=count)
    crumbs = hugging > 0.6 * stats[:, cv2.CC_STAT_AREA]
    crumbs[0] = False
    return np.asarray(pen & ~crumbs[labels], bool)


def _faint_rules(dark: npt.NDArray[np.float32]) -> Mask:
    """Return long upright rules too faint to count as ink: a little darker than both sides all the way down."""
    height = dark.shape[0]
    down = cv2.blur(np.minimum(dark, 0.3), (1, 41))
    left, right = np.roll(down, 6, axis=1), np.roll(down, -6, axis=1)
    line = cv2.dilate((down - np.maximum(left, right) > FAINT).astype(np.uint8), np.ones((1, 3), np.uint8))
    rules, _ = _long_runs(np.ascontiguousarray(line.T, np.uint8), length=max(60, height // 16), extent=height // 5)
    return rules.T


def _long_runs(binary: npt.NDArray[np.uint8], *, length: int, extent: int) -> tuple[Mask, Mask]:
    """Return the level rules, runs of ``length`` that make, end to end, at least ``extent``, and their ink.

    Gaps in a rule are filled; its ink is that of the runs, and in the gaps what is no thicker than a rule.
    """
    thick = cv2.dilate(binary, np.ones((3, 1), np.uint8))  # so that a slight slope does not end a run
    runs = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    joined = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((3, length), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    long = stats[:, cv2.CC_STAT_WIDTH] >= extent
    long &= stats[:, cv2.CC_STAT_HEIGHT] < np.maximum(12, stats[:, cv2.CC_STAT_WIDTH] // 12)
    long[0] = False
    rules = long[labels]
    tall = cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((THICKEST, 1), np.uint8))
    thick_rule = cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones((THICKEST + 2, 1), np.uint8))
    return rules, rules & ((tall == 0) | (thick_rule > 0))
