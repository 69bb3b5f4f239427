"""Where there is writing -> the middle lines of the lines of text.

Writing is a band of many strokes side by side: what is smoothed along the line is not the ink but how often it
begins and ends, so that rules, borders and the flourishes that people draw around a text count for little. The
bands stand out as ridges of the smoothed map, which are followed from left to right (Bukhari, Shafait and Breuel
2009 trace ridges of anisotropic Gaussians; Li, Zheng, Doermann and Jaeger 2008 smooth along the line as well).

Shapes: maps are (height, width), shrunk so that a letter's body, the height of an x, is BODY pixels.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from htr.layout.geometry import Mask

Map = npt.NDArray[np.float32]

BODY = 5.0
"""Pixels of the shrunk maps that the body of a letter, without ascender and descender, is high."""
SMALLEST_BODY, LARGEST_BODY = 4.0, 45.0
"""Pixels of the work page, between which the body is looked for."""
CORE = 1.7
"""Height of a body for one of the band that answers most, whose strokes are densest in its middle."""
USUAL_BODY = 0.014
"""Height of a body as a share of the page's side, the geometric mean of both: some 28 lines on a sheet."""
ALONG = 4.0
"""How far the map is smoothed along the line, in bodies: over the gap between two words."""
WEAKEST = 0.25
"""A ridge counts from this share of the height of the page's strong ridges on."""
STEEPEST = 2
"""Pixels that a ridge may climb from one column to the next."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """The middle of one piece of a line of text, column by column."""

    left: int
    """First column."""
    heights: npt.NDArray[np.float32]
    """y in every column from ``left`` on."""

    @property
    def right(self) -> int:
        """Last column."""
        return self.left + len(self.heights) - 1

    def part(self, left: int, right: int) -> "Track":
        """Return the columns from ``left`` to ``right``, both included."""
        return Track(left=left, heights=self.heights[left - self.left : right - self.left + 1])

    def end(self, *, right: bool, span: int) -> tuple[float, float]:
        """Return y at one end, and the slope there: of the straight line through the last ``span`` columns."""
        piece = self.heights[-span:] if right else self.heights[:span]
        if len(piece) < span / 2:
            return float(np.median(piece)), 0.0
        slope, start = np.polyfit(np.arange(len(piece)), piece, 1)
        return float(start + slope * (len(piece) - 1) if right else start), float(slope)


def stroke_edges(pen: Mask) -> Map:
    """Return where a stroke begins or ends from left to right, 0 or 1."""
    edges = np.zeros(pen.shape, np.float32)
    edges[:, 1:] = pen[:, 1:] != pen[:, :-1]
    return edges


def find_body(edges: Map) -> float:
    """Return the height of a letter's body, in pixels of the work page.

    A band answers most to the filter of its own width (scale selection by normalised derivatives, Lindeberg 1998);
    the strong ridges of the page vote. What they say is drawn towards what pages usually have, by half: a
    filter too wide misses little, one too narrow takes ascenders and flourishes for lines.
    """
    ratio = (LARGEST_BODY / SMALLEST_BODY) ** (1 / 10)
    bodies = [SMALLEST_BODY * ratio**step for step in range(11)]
    strong: list[float] = []
    width = 2 * round(1.2 * BODY * ALONG) + 1
    for body in bodies:
        blurred = cv2.blur(cv2.blur(shrink(edges, body), (width, 1)), (width, 1))  # nearly a Gaussian, but quick
        height = ridge_height(np.asarray(blurred, np.float32))
        peaks = height[_is_peak(height)]
        strong.append(float(np.percentile(peaks, 90)) if len(peaks) else 0.0)
    best = bodies[int(np.argmax(strong))]
    return math.sqrt(CORE * best * USUAL_BODY * math.sqrt(edges.size))


def shrink(values: Map, body: float) -> Map:
    """Return a map shrunk (or blown up) so that a body of ``body`` pixels has BODY."""
    factor = BODY / body
    height, width = (max(3, round(side * factor)) for side in values.shape)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=how), np.float32)


def ridge_height(values: Map) -> Map:
    """Return how much every pixel lies on a level band of the width of a body: minus the second derivative."""
    sigma = BODY / 2
    reach = math.ceil(4 * sigma)
    y = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = (1 - y**2 / sigma**2) * np.exp(-(y**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel -= kernel.mean()
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_32F, np.ones(1), kernel), np.float32)


def smooth_along(values: Map, walls: Mask, length: float) -> Map:
    """Smooth every row, but not across walls: the mean over the neighbours, weighted exp(-distance / length)."""
    keep = math.exp(-1.0 / length)
    values_WH = np.ascontiguousarray(values.T)
    passes_WH = np.ascontiguousarray(np.where(walls.T, 0.0, keep).astype(np.float32))
    total_WH, weight_WH = values_WH.copy(), np.ones_like(values_WH)
    width, height = values_WH.shape
    for columns in (range(width), range(width - 1, -1, -1)):
        sums, weights = np.zeros(height, np.float32), np.zeros(height, np.float32)
        for x in columns:
            total_WH[x] += sums
            weight_WH[x] += weights
            sums = (sums + values_WH[x]) * passes_WH[x]
            weights = (weights + 1.0) * passes_WH[x]
    return np.ascontiguousarray((total_WH / weight_WH).T)


def trace(edges: Map, walls: Mask) -> list[Track]:
    """Follow the ridges.

    Args:
        edges: shrunk to BODY.
        walls: what no line crosses, of the same shape.

    Returns:
        Pieces of lines, each with ink at both ends, in no particular order; a line may be in several pieces.
    """
    height = ridge_height(smooth_along(edges, walls, BODY * ALONG))
    peaks = _is_peak(height)
    if not peaks.any():
        return []
    peaks &= height > WEAKEST * float(np.percentile(height[peaks], 90))
    peaks &= ~walls
    tracks: list[Track] = []
    for _ in range(2):  # where two ridges meet, the first round takes the higher one and the second the other
        found, peaks = _follow(height, peaks)
        tracks += found
    return tracks


def _is_peak(height: Map) -> Mask:
    peaks = np.zeros(height.shape, bool)
    inner = height[1:-1]
    peaks[1:-1] = (inner > height[:-2]) & (inner >= height[2:]) & (inner > 0)
    return peaks


def _follow(height: Map, peaks: Mask) -> tuple[list[Track], Mask]:
    """Return the ridges, one pixel a column, and the peaks that were left over."""
    linked = cv2.dilate(peaks.astype(np.uint8), np.ones((2 * (STEEPEST // 2) + 1, 1), np.uint8))
    _, labels = cv2.connectedComponents(linked, connectivity=8)
    rows, columns = np.nonzero(peaks)
    label = labels[rows, columns]
    order = np.lexsort((-height[rows, columns], columns, label))
    rows, columns, label = rows[order], columns[order], label[order]
    first = np.ones(len(rows), bool)
    first[1:] = (label[1:] != label[:-1]) | (columns[1:] != columns[:-1])
    left_over = np.zeros_like(peaks)
    left_over[rows[~first], columns[~first]] = True
    rows, columns, label = rows[first], columns[first], label[first]
    breaks = (label[1:] != label[:-1]) | (columns[1:] != columns[:-1] + 1)
    breaks |= np.abs(rows[1:] - rows[:-1]) > STEEPEST
    cuts = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(rows)]
    tracks = [
        Track(left=int(columns[a]), heights=rows[a:b].astype(np.float32))
        for a, b in pairwise(cuts)
        if b - a >= BODY / 2
    ]
    return tracks, left_over
