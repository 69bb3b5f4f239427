"""Decoded line -> a perceptual hash: 512 bits that hardly change when the same line is saved, scaled or cut again.

The ink's own box is cut out and laid on a grid of 64 by 8 cells; each bit says whether a cell is darker than its
neighbour to the right: a difference hash, widened to the shape of a line. The usual 8 by 8 bits, made for
photographs, cannot tell two long lines of one hand apart.
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
    """Return how dark the ink of a line is, 0..1, within the ink's own box; None where there is no ink."""
    levels = measure_levels(grey)
    paper, ink = levels.paper, levels.ink
    darkness = np.clip((paper - grey.astype(np.float32)) / (paper - ink), 0.0, 1.0)
    darkness[darkness < _TEXTURE] = 0.0
    columns, rows = _span(darkness.sum(axis=0)), _span(darkness.sum(axis=1))
    if columns is None or rows is None:
        return None
    return np.asarray(darkness[rows[0] : rows[1], columns[0] : columns[1]], np.float32)


def _span(ink: npt.NDArray[np.float32]) -> tuple[int, int] | None:
    total = float(ink.sum())
    if total <= 0:
        return None
    first, last = np.searchsorted(np.cumsum(ink), (_TAIL * total, (1 - _TAIL) * total))
    return int(first), min(int(last) + 1, len(ink))
