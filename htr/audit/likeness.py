"""The ink of two lines -> how surely both show the same writing: how well the worst block fits."""

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

MIN_CORRELATION = 0.87
"""Of the ink of two images, in the block that fits worst, where the labels are the same."""
MIN_CORRELATION_OF_OTHERS = 0.92
"""The same where the labels differ: two printed lines may differ in one digit, and their labels say so."""
_HEIGHT, _MAX_WIDTH = 48, 1920
"""Pixels that the ink is scaled to."""
_BLOCK = 64
"""Width of a block; about three letters."""
_BANDS = ((0, 24), (12, 36), (24, 48))
"""Rows of a block: a form's printed words above and below must not drown what was written between them."""
_SHIFT = (10, 5)
"""Pixels to either side, and up and down, within which a block is looked for."""
_LITTLE = 0.5
"""Blocks with less than that share of the mean ink in both lines say little."""

Ink = npt.NDArray[np.float32]


def likeness(one: Ink, two: Ink) -> float:
    """Return how well the worst block of one line is found in the other, -1..1; the first bad one settles it.

    The ink is brought to the same size and cut into blocks about as wide as three letters. Each is looked for near
    its place in the other line, since no two boxes are cut alike; Pearson's correlation says how well it fits. The
    whole would hide that one digit of a printed date is another.
    """
    width = int(np.clip(round(_HEIGHT * one.shape[1] / one.shape[0]), _HEIGHT, _MAX_WIDTH))
    first, second = _scaled(one, width), _scaled(two, width)
    right, down = _SHIFT
    around = np.pad(second, ((down, down), (right, right)))
    edges = np.linspace(0, width, max(1, width // _BLOCK) + 1).astype(int)
    least_ink = _LITTLE * float(first.mean())
    worst = 1.0
    for left, end in pairwise(edges):
        for top, low in _BANDS:
            block, place = first[top:low, left:end], second[top:low, left:end]
            if max(float(block.mean()), float(place.mean())) >= least_ink:
                worst = min(worst, _fit(block, around[top : low + 2 * down, left : end + 2 * right]))
                if worst < MIN_CORRELATION:
                    return worst
    return worst


def _scaled(box: Ink, width: int) -> Ink:
    shrinks = box.shape[0] > _HEIGHT
    image = Image.fromarray(np.asarray(255 * box, np.uint8)).resize(
        (width, _HEIGHT), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    )
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.0)), np.float32)


def _fit(block: Ink, around: Ink) -> float:
    if block.max() - block.min() < 1.0:  # bare paper here, ink there
        return 0.0
    return float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max())
