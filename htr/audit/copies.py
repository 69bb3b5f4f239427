"""Measured lines -> which of them show the same: pixel by pixel, or saved, scaled, dimmed or cut anew.

Near copies are found in two steps. First the hashes: lines whose ink has about the same shape and whose hashes
differ in at most MAX_DISTANCE of 512 bits. Some pairs are as close by chance (short words of one hand), so their
images are laid upon each other: they are copies where the ink correlates everywhere. Decision 21 has the figures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from htr.audit.fingerprints import ink_box
from htr.audit.measures import Measured
from htr.image import Grey

MAX_DISTANCE = 100
"""Bits of 512. Unrelated lines differ in 142 at the median of each one's nearest."""
MAX_CANDIDATES = 8
"""Lines that one line is laid upon at most: thousands of printed forms are alike."""
MAX_STRETCH = 0.25
"""How far the logarithms of the ink boxes' width by height may differ."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """Lines that show the same."""

    rows: tuple[int, ...]
    """Ascending."""
    correlation: float
    """1 where all are the same pixel by pixel; else that of the least certain pair that joins them."""


def exact_copies(lines: Sequence[Measured]) -> list[Copies]:
    """Return the groups of lines whose images have the same pixels."""
    by_pixels: dict[bytes, list[int]] = {}
    for line in lines:
        if line.picture is not None:
            by_pixels.setdefault(line.picture.pixels, []).append(line.row)
    return [Copies(rows=tuple(rows), correlation=1.0) for rows in by_pixels.values() if len(rows) > 1]


def near_copies(lines: Sequence[Measured], greys: Callable[[set[int]], Mapping[int, Grey]]) -> list[Copies]:
    """Return the groups of lines whose images show the same without having the same pixels.

    A group may hold exact copies of its lines as well.

    Args:
        lines: all of them; the n-th must have row n.
        greys: returns the decoded images of some rows.
    """
    firsts: dict[bytes, int] = {}  # of exact copies only the first is compared
    for line in lines:
        if line.picture is not None and line.picture.fingerprint is not None:
            firsts.setdefault(line.picture.pixels, line.row)
    pairs = list(_close_pairs([lines[row] for row in firsts.values()]))
    boxes = {row: ink_box(grey) for row, grey in greys({row for pair in pairs for row in pair}).items()}
    found = [
        (one, two, _likeness(first, second))
        for one, two in pairs
        if (first := boxes[one]) is not None and (second := boxes[two]) is not None
    ]
    groups = _joined([(one, two, fit) for one, two, fit in found if fit >= _wanted(lines[one], lines[two])])
    twins: dict[bytes, list[int]] = {}
    for line in lines:
        if line.picture is not None:
            twins.setdefault(line.picture.pixels, []).append(line.row)
    return [
        Copies(
            rows=tuple(sorted(twin for row in rows for twin in twins[_pixels(lines[row])])), correlation=certainty
        )
        for rows, certainty in groups
    ]


def _pixels(line: Measured) -> bytes:
    if line.picture is None:
        raise AssertionError("only decoded lines are compared")
    return line.picture.pixels


def _wanted(one: Measured, two: Measured) -> float:
    return MIN_CORRELATION if one.text == two.text else MIN_CORRELATION_OF_OTHERS


def _close_pairs(lines: Sequence[Measured]) -> Iterator[tuple[int, int]]:
    """Yield the rows of lines whose hashes are close; lines are compared with those of a similar shape only."""
    if not lines:
        return
    prints = [line.picture.fingerprint for line in lines if line.picture and line.picture.fingerprint]
    aspects = np.log([print_.aspect for print_ in prints])
    order = np.argsort(aspects, kind="stable")
    aspects, bits = aspects[order], np.stack([print_.bits for print_ in prints])[order]
    ends = np.searchsorted(aspects, aspects + MAX_STRETCH, side="right")
    for at, end in enumerate(ends):
        distances = np.bitwise_count(bits[at + 1 : end] ^ bits[at]).sum(axis=1, dtype=np.int64)
        close = np.flatnonzero(distances <= MAX_DISTANCE)
        for other in close[np.argsort(distances[close], kind="stable")[:MAX_CANDIDATES]]:
            one, two = lines[order[at]].row, lines[order[at + 1 + other]].row
            yield min(one, two), max(one, two)


def _likeness(one: Ink, two: Ink) -> float:
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


def _joined(pairs: Sequence[tuple[int, int, float]]) -> list[tuple[list[int], float]]:
    """Return the connected groups of pairs, each with its least certain pair."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, two, _ in pairs:
        parent[root(two)] = root(one)
    groups: dict[int, tuple[list[int], float]] = {}
    for row in sorted(parent):
        groups.setdefault(root(row), ([], 1.0))[0].append(row)
    least: dict[int, float] = {}
    for one, _, value in pairs:
        least[root(one)] = min(least.get(root(one), 1.0), value)
    return [(rows, least[key]) for key, (rows, _) in groups.items()]
