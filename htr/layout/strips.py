"""Baselines alone -> outlines: for pages on which somebody only drew what the letters stand on.

How high the writing is follows from how far apart the baselines are; a strip reaches four fifths of it up and a
quarter down, which leaves ascenders and descenders whole and little of the neighbours.
"""

import math
from collections.abc import Sequence
from statistics import median

from htr.layout.geometry import Points

ABOVE, BELOW = 0.8, 0.25
"""Share of the distance between lines."""
_LOWEST, _HIGHEST, _ALONE = 0.005, 0.12, 0.03
"""Distance between lines as a share of the page's height: bounds, and what is taken where a line stands alone."""


def line_distance(baselines: Sequence[Points], page_height: int) -> float:
    """Return how far apart the lines of a page are, in pixels: the median over each line's next one below.

    Args:
        baselines: of the page, each of at least two points.
        page_height: in the same unit.
    """
    spans = [(min(x for x, _ in b), max(x for x, _ in b), sum(y for _, y in b) / len(b)) for b in baselines]
    gaps = []
    for left, right, height in spans:
        below = [y - height for x0, x1, y in spans if y > height + 1 and min(x1, right) > max(x0, left)]
        if below:
            gaps.append(min(below))
    distance = median(gaps) if gaps else _ALONE * page_height
    return min(max(distance, _LOWEST * page_height), _HIGHEST * page_height)


def strip(baseline: Points, distance: float) -> Points:
    """Return the outline of a strip along a baseline, from which it keeps its distance as far as it bends.

    Args:
        baseline: at least two points, from left to right.
        distance: between the page's lines.
    """
    (x0, y0), (x1, y1) = baseline[0], baseline[-1]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    up = ((y1 - y0) / length, -(x1 - x0) / length)  # the normal; y grows downwards
    above = [(x + up[0] * ABOVE * distance, y + up[1] * ABOVE * distance) for x, y in baseline]
    below = [(x - up[0] * BELOW * distance, y - up[1] * BELOW * distance) for x, y in baseline]
    return (*above, *reversed(below))
