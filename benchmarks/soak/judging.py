"""A series of figures in, whether it is flat out: a slope with its interval, against a growth that is let be.

Neighbouring minutes are alike, so the interval comes from resampling blocks of them (moving-block bootstrap:
Künsch 1989) around the median of all slopes between two points (Theil 1950, Sen 1968), which no outlier can tilt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_DRAWS = 1000
FEWEST = 8
"""Points below which nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What growth over the time that is judged is let be: the larger of both."""

    share: float = 0.0
    """Of the series' median."""
    units: float = 0.0
    """Of the series itself."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a series grew over the time that is judged, in its own unit."""

    median: float
    growth: float
    low: float
    high: float
    """Of the 95 % interval."""
    most: float
    """What is let be."""
    points: int

    @property
    def verdict(self) -> str:
        """``flat``, ``grows``, or ``cannot tell`` where the interval holds both."""
        if self.points < FEWEST:
            return "cannot tell"
        if self.high <= self.most:
            return "flat"
        return "grows" if self.low > self.most else "cannot tell"


def trend(at: Sequence[float], values: Sequence[float], bound: Bound, *, seed: int = 1) -> Trend:
    """Return how a series grew from its first point to its last.

    Args:
        at: when each point was taken, growing; any unit.
        values: the points.
        bound: what growth is let be.
        seed: of the resampling.
    """
    x, y = np.asarray(at, float), np.asarray(values, float)
    if len(x) != len(y) or len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"expected two series of one length, the first growing, got {len(x)} and {len(y)} points")
    span, median = x[-1] - x[0], float(np.median(y))
    first, second = np.triu_indices(len(x), k=1)
    steps = x[second] - x[first]
    slope = float(np.median((y[second] - y[first]) / steps))
    residuals = y - slope * x
    block = max(2, round(len(x) ** 0.5))
    rng = np.random.default_rng(seed)
    num_blocks = -(-len(x) // block)
    begins = rng.integers(0, len(x) - block + 1, size=(NUM_DRAWS, num_blocks))
    drawn = (begins[:, :, None] + np.arange(block)).reshape(NUM_DRAWS, -1)[:, : len(x)]
    slopes = [slope + np.median((one[second] - one[first]) / steps) for one in residuals[drawn]]
    low, high = np.quantile(slopes, (0.025, 0.975)) * span
    return Trend(
        median=median, growth=slope * span, low=float(low), high=float(high),
        most=max(bound.share * median, bound.units), points=len(x),
    )  # fmt: skip
