"""Grey levels of a line: an image in, its paper, its ink and its contrast out, from one histogram."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

LEAST_SPREAD = 32
"""Grey levels: paper and ink are taken to differ by as many, or the noise of a blank line became strokes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """Grey levels, 0 black to 255 white."""

    paper: float
    """The median: what covers most of a line is taken for paper."""
    ink: float
    """The 1st percentile, or the 99th on dark paper; at least LEAST_SPREAD from the paper."""
    contrast: float
    """Between the 5th and the 95th percentile."""
    beyond_noise: float
    """Share of pixels that differ from the paper by LEAST_SPREAD or more, 0..1."""

    @property
    def light_on_dark(self) -> bool:
        """Whether the ink is the brighter of the two."""
        return self.ink > self.paper


def measure_levels(grey: npt.NDArray[np.uint8]) -> Levels:
    """Find paper and ink of a decoded line; ink is the brighter one on a dark page."""
    counts = np.asarray(Image.fromarray(grey).histogram())
    low, dark, middle, bright, high = percentiles(counts, (1, 5, 50, 95, 99))
    if middle < 128 and high - middle > middle - low:
        ink = max(high, middle + LEAST_SPREAD)
    else:
        ink = min(low, middle - LEAST_SPREAD)
    first, last = round(middle) - LEAST_SPREAD + 1, round(middle) + LEAST_SPREAD
    within = int(counts[max(0, first) : last].sum())
    return Levels(paper=middle, ink=ink, contrast=bright - dark, beyond_noise=1 - within / grey.size)


def percentiles(counts: npt.NDArray[np.integer], wanted: Sequence[float]) -> list[float]:
    """Return percentiles of the values 0, 1, 2, ... to the last bit as `numpy.percentile` gives them.

    From a histogram they take a twentieth of the time.

    Args:
        counts: how often each value occurs; at least one does.
        wanted: 0..100.
    """
    up_to = np.cumsum(counts)
    last = int(up_to[-1]) - 1
    found = []
    for percent in wanted:
        place = last * (percent / 100)
        first = int(place)
        low, high = np.searchsorted(up_to, (first, min(first + 1, last)), side="right").tolist()
        share = place - first
        # From the nearer of the two, as numpy interpolates.
        value = high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
        found.append(float(value))
    return found
