"""White gutters between columns: what lines of text do not cross where no rule is drawn.

Lengths are in pixels of the shrunk maps, where a letter's body is BODY pixels high; see `htr.layout.ridges`.
"""

import cv2
import numpy as np

from htr.layout.geometry import Mask
from htr.layout.ridges import BODY, Map

HEIGHT = round(20 * BODY)
"""A gutter runs along this much at least, some five lines: gaps between words seldom meet over as many."""
WIDTH = round(2 * BODY)
"""A gutter is at least this wide."""
REACH = round(60 * BODY)
"""How far from a gutter its columns are looked for."""
FILLED = 0.25
"""Share of the rows along a gutter that must have writing on either side."""


def find_gutters(edges: Map) -> Mask:
    """Return the white upright strips that have writing on both sides over most of their height.

    Tall white rectangles as separators are Breuel's (2002); ours need not cover the whole page, since table
    rules are found before.

    Args:
        edges: where strokes begin and end, shrunk to BODY.
    """
    inked = (edges > 0).astype(np.float32)
    column = np.ones((HEIGHT, 1), np.uint8)
    white = (cv2.dilate(inked, column, borderValue=0) == 0).astype(np.uint8)
    wide = cv2.morphologyEx(white, cv2.MORPH_OPEN, np.ones((1, WIDTH), np.uint8), borderValue=0)
    sides = _has_writing(inked, left=True) & _has_writing(inked, left=False)
    return cv2.dilate((wide.astype(bool) & sides).astype(np.uint8), column).astype(bool)


def _has_writing(inked: Map, *, left: bool) -> Mask:
    """Tell for every pixel whether enough of the rows around it have ink on one side, within REACH."""
    sums = np.pad(np.cumsum(inked, axis=1), ((0, 0), (REACH, REACH)), mode="edge")
    width = inked.shape[1]
    here = sums[:, REACH : REACH + width]
    counts = here - sums[:, :width] if left else sums[:, 2 * REACH : 2 * REACH + width] - here
    rows = (counts > 0).astype(np.float32)
    share = cv2.blur(rows, (1, HEIGHT), borderType=cv2.BORDER_CONSTANT)
    return share >= FILLED
