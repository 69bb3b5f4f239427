"""Decoded line -> a perceptual hash: 512 bits that hardly change when the same line is saved, scaled or cut again.

The ink is set level, its own box cut out and laid on a grid of 64 by 8 cells; each bit says whether a cell is
darker than its neighbour to the right: a difference hash, widened to the shape of a line. The usual 8 by 8 bits,
made for photographs, cannot tell two long lines of one hand apart.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from htr.image import Grey
from htr.levels import measure_levels

COLUMNS, ROWS = 64, 8
NUM_BITS = COLUMNS * ROWS
NUM_WORDS = NUM_BITS // 64
_TAIL = 0.004
"""Share of the ink that may lie outside of its box on either side: specks must not move it."""
_TEXTURE = 0.25
"""Share of the way from paper to ink that the paper's own texture does not reach."""
_LEAST_DIFFERENCE = 2.0
"""Grey levels of ink between neighbours, below which they count as alike: noise on bare paper says nothing."""
_STEEPEST = 0.12
"""Rise by run, about 7 degrees, up to which ink is set level: no line slopes more, short words may seem to."""

Words = npt.NDArray[np.uint64]


class Fingerprint(NamedTuple):
    """What near copies are found by."""

    bits: Words
    """Shape (NUM_WORDS,)."""
    aspect: float
    """Width by height of the ink's box."""


def fingerprint(grey: Grey) -> Fingerprint | None:
    """Return the hash of a line, or None where it shows no ink."""
    box = ink_box(grey)
    if box is None:
        return None
    scaled = Image.fromarray(np.asarray(255 * box, np.uint8)).resize(
        (COLUMNS + 1, ROWS), Image.Resampling.BOX if box.shape[1] > 2 * COLUMNS else Image.Resampling.BILINEAR
    )
    cells = np.asarray(scaled, np.float32)
    darker = cells[:, :-1] > cells[:, 1:] + _LEAST_DIFFERENCE
    return Fingerprint(bits=np.packbits(darker.ravel()).view(np.uint64), aspect=box.shape[1] / box.shape[0])


def ink_box(grey: Grey) -> npt.NDArray[np.float32] | None:
    """Return how dark the ink of a line is, 0..1, set level, within its own box; None where there is no ink."""
    levels = measure_levels(grey)
    paper, ink = levels.paper, levels.ink
    darkness = np.clip((paper - grey.astype(np.float32)) / (paper - ink), 0.0, 1.0)
    darkness[darkness < _TEXTURE] = 0.0
    darkness = _levelled(np.asarray(darkness, np.float32))
    columns, rows = _span(darkness.sum(axis=0)), _span(darkness.sum(axis=1))
    if columns is None or rows is None:
        return None
    return np.asarray(darkness[rows[0] : rows[1], columns[0] : columns[1]], np.float32)


def _levelled(darkness: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shift columns up and down so that the ink runs level.

    The slope is that of the straight line through all ink. It need not be that of the writing ("glyph" sinks,
    "glad" does not); what counts is that a copy that was turned by some degrees has so much more of it.
    """
    height, width = darkness.shape
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    ink = darkness.sum(axis=0)
    total = float(ink.sum())
    if total <= 0:
        return darkness
    off = columns - float(columns @ ink) / total
    heights = rows @ darkness
    spread = float(off**2 @ ink)
    slope = float(off @ (heights - ink * (float(heights.sum()) / total))) / spread if spread > 0 else 0.0
    shifts = np.rint(np.clip(slope, -_STEEPEST, _STEEPEST) * off).astype(np.int64)
    low, high = int(shifts.min()), int(shifts.max())
    if low == high:
        return darkness
    # Row r of the result is row r - high + shift of the image: room for what goes up and for what goes down.
    padded = np.pad(darkness, ((high - low, high - low), (0, 0)))
    places = np.arange(height + high - low)[:, None] + (shifts - low)[None, :]
    return np.asarray(np.take_along_axis(padded, places, axis=0), np.float32)


def _span(ink: npt.NDArray[np.float32]) -> tuple[int, int] | None:
    total = float(ink.sum())
    if total <= 0:
        return None
    first, last = np.searchsorted(np.cumsum(ink), (_TAIL * total, (1 - _TAIL) * total))
    return int(first), min(int(last) + 1, len(ink))
