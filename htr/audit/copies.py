"""Measured lines -> which of them show the same: pixel by pixel, or saved, scaled, dimmed or cut anew.

Near copies are found in two steps. First the hashes: lines whose ink has about the same shape and whose hashes
differ in at most MAX_DISTANCE of 512 bits. Some pairs are as close by chance (short words of one hand), so their
images are laid upon each other: they are copies where the ink correlates. Decision 21 has the figures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from htr.audit.fingerprints import ink_box
from htr.audit.measures import Measured
from htr.image import Grey

MAX_DISTANCE = 100
"""Bits of 512. Unrelated lines differ in 142 at the median of each one's nearest."""
MAX_STRETCH = 0.25
"""How far the logarithms of the ink boxes' width by height may differ."""
MIN_CORRELATION = 0.85
"""Of the ink of two images, at the best of small shifts."""
_THUMB = (192, 24)
_SHIFT = (6, 3)
"""Pixels of the thumbnail to either side, and up and down."""

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
    images = greys({row for pair in pairs for row in pair})
    thumbs = {row: _thumb(grey) for row, grey in images.items()}
    found = [(one, two, _correlation(thumbs[one], thumbs[two])) for one, two in pairs]
    groups = _joined([(one, two, value) for one, two, value in found if value >= MIN_CORRELATION])
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
        for other in np.flatnonzero(distances <= MAX_DISTANCE):
            one, two = lines[order[at]].row, lines[order[at + 1 + other]].row
            yield min(one, two), max(one, two)


def _thumb(grey: Grey) -> Ink:
    box = ink_box(grey)
    if box is None:
        raise AssertionError("lines without ink have no hash")
    resample = Image.Resampling.BOX if box.shape[1] > _THUMB[0] else Image.Resampling.BILINEAR
    small = Image.fromarray(np.asarray(255 * box, np.uint8)).resize(_THUMB, resample)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(1.0)), np.float32)


def _correlation(one: Ink, two: Ink) -> float:
    """Return Pearson's correlation of two thumbnails at the best of small shifts."""
    right, down = _SHIFT
    padded = np.pad(two, ((down, down), (right, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, one.shape)
    windows = windows.reshape(-1, one.size)
    centred = one.ravel() - one.mean()
    spread = windows.std(axis=1) * one.std() * one.size
    products = windows @ centred
    return float(np.max(products / np.maximum(spread, 1e-6)))


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
