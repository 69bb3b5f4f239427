"""Lines of a page -> the same lines in reading order, in blocks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from htr.layout.geometry import Mask, PageLine

SHARED = 0.1
"""Share of the narrower line's width from which on two lines stand one above the other, not side by side."""
BLOCK_GAP = 1.2
"""Line heights between two lines of one block, at most."""


def in_reading_order(lines: Sequence[PageLine]) -> list[PageLine]:
    """Sort lines and number their blocks.

    Of two lines one above the other the upper is read first. Columns are read one after another, down to a line
    that spans them (Breuel 2003, section 4, gives both rules). We hold two lines side by side to stand in columns
    only where the left one has a companion above itself at the other's height; else the upper one comes first, as
    a date at the right of a letter does. Columns are read from left to right, whatever the script.
    """
    if not lines:
        return []
    boxes = np.array([line.box for line in lines])
    middle = np.array([float(np.mean([y for _, y in line.baseline])) for line in lines])
    before = _before(boxes, middle)
    return _in_blocks([lines[n] for n in _sorted(before, middle)])


def _before(boxes: npt.NDArray[np.float64], middle: npt.NDArray[np.float64]) -> Mask:
    """Return for each pair (i, j) whether line i is read before line j."""
    left, top, right, bottom = boxes.T
    width = right - left
    shared = np.minimum(right, right[:, None]) - np.maximum(left, left[:, None])
    stacked = shared > SHARED * np.maximum(1, np.minimum(width, width[:, None]))
    lefter = ~stacked & (left[:, None] + right[:, None] < left + right)
    before = stacked & (middle[:, None] < middle)
    for i in range(len(boxes)):
        lower = top[i] > bottom
        low, high = np.minimum(middle[i], middle), np.maximum(middle[i], middle)
        between = (middle[:, None] > low) & (middle[:, None] < high)
        spanned = (stacked[i][:, None] & stacked & between).any(axis=0)
        companion = (stacked[i][:, None] & lefter & (top[:, None] < bottom)).any(axis=0)
        first = lefter[i] & (~lower | (companion & ~spanned))
        before[i] |= first
        before[:, i] |= lefter[i] & ~first
    return np.asarray(before, bool)


def _sorted(before: Mask, middle: npt.NDArray[np.float64]) -> list[int]:
    """Return the lines so that each comes after those before it; where rules contradict, the upper one goes on."""
    waiting = before.sum(axis=0).astype(np.float64)
    order: list[int] = []
    for _ in range(len(middle)):
        candidate = int(np.lexsort((middle, waiting))[0])
        order.append(candidate)
        waiting -= before[candidate]
        waiting[candidate] = np.inf
    return order


def _in_blocks(lines: list[PageLine]) -> list[PageLine]:
    """Number the blocks: a new one begins where the next line does not lie close below the one before."""
    height = float(np.median([mean_height(line) for line in lines]))
    numbered: list[PageLine] = []
    region = 0
    for place, line in enumerate(lines):
        if place:
            (l0, _, r0, b0), (l1, t1, r1, _) = lines[place - 1].box, line.box
            close = min(r0, r1) > max(l0, l1) and -height < t1 - b0 <= BLOCK_GAP * height
            region += not close
        numbered.append(replace(line, region=region))
    return numbered


def mean_height(line: PageLine) -> float:
    """Return the mean height of an outline in pixels: its area by its width."""
    left, _, right, _ = line.box
    points = np.asarray(line.polygon)
    after = np.roll(points, -1, axis=0)
    area = abs(float((points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]).sum())) / 2
    return area / max(1.0, right - left)
