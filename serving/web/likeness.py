"""A picture of a line in, a few numbers out by which lines that look alike lie near each other."""

import numpy as np
import numpy.typing as npt

from htr.image import decode
from htr.levels import measure_levels

NUM_DIRECTIONS, NUM_BANDS = 8, 3
SIZE = NUM_DIRECTIONS * NUM_BANDS + 4


def likeness(image: bytes, text: str) -> npt.NDArray[np.float64]:
    """Return how a line looks and how much stands on it, shape (SIZE,).

    Directions of strokes are counted in the upper, middle and lower third, weighted by steepness (Dalal and
    Triggs 2005, "Histograms of oriented gradients"): they tell slant, roundness and how much of the line is
    ascenders. Beside them stand shape, ink, contrast and number of characters.

    Raises:
        ImageError: it cannot be decoded.
    """
    grey = decode(image)
    levels = measure_levels(grey)
    spread = levels.paper - levels.ink  # below 0 where the writing is light on dark
    dark = np.clip((levels.paper - grey.astype(np.float64)) / spread, 0, 1)
    down, across = np.gradient(dark) if min(dark.shape) > 1 else (np.zeros_like(dark), np.zeros_like(dark))
    steepness = np.hypot(across, down)
    direction = np.mod(np.arctan2(down, across), np.pi) / np.pi * NUM_DIRECTIONS
    direction = np.minimum(direction.astype(np.intp), NUM_DIRECTIONS - 1)
    band = np.arange(grey.shape[0])[:, None] * NUM_BANDS // grey.shape[0] + np.zeros_like(direction)
    counted = np.bincount(
        (band * NUM_DIRECTIONS + direction).ravel(), steepness.ravel(), NUM_BANDS * NUM_DIRECTIONS
    )
    rest = [np.log(grey.shape[1] / grey.shape[0]), dark.mean(), abs(spread), np.log1p(len(text))]
    return np.concatenate([counted / max(1e-9, counted.sum()), rest])
