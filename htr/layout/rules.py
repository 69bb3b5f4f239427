"""Ruled lines, frames and margin rules: taken off the ink, the upright ones kept as walls between columns.

Shapes: everything is (height, width) of the shrunken, level page that `htr.layout.ink` works on.
"""

import cv2
import numpy as np
import numpy.typing as npt

from htr.layout.geometry import Mask

THICKEST = 7
"""Pixels of the shrunken page across a ruled line; where more ink stands, writing crosses it."""
LINKED = 0.2
"""Share of the page's height over which two pieces of an upright rule are taken for one."""
STRAY = 12.0
"""Pixels by which they may miss each other."""
FAINT = 0.03
"""How much darker than its sides a rule is that is no ink, as a share of the paper's grey level."""


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
