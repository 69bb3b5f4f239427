"""Middle lines of lines of text, and the ink -> the outline and the baseline of each.

Every piece of connected ink goes to the line that most of it lies along; what lies along several, as where a
descender touches the line below, is cut half-way between them. The outline follows the ink from above and below.

Lengths are in bodies: the height of a letter without ascender and descender.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from htr.layout.geometry import Mask
from htr.layout.ridges import BODY, Track

ABOVE, BELOW = 2.4, 2.1
"""How far ascenders and descenders reach from the middle line."""
BEYOND = 1.5
"""How far ink may reach past the first and last letter of a track."""
WHOLE = 0.6
"""Share of connected ink along one line from which on all of it belongs there."""
TALLEST = 5.0
"""Higher connected ink is no letter, and cut where it crosses lines."""
NEAR = 1.2
"""How far from the middle such ink still counts: what reaches further is a flourish."""
STRAIGHT = 4.0
"""Shorter lines are taken to be level."""
USUAL = 90
"""Percentile of the ascenders and descenders of a line that its outline follows: taller ones are cut off, since
one long loop would make the whole line small to the recogniser, which sees every line at one height."""
MARGIN = 0.3
"""Paper between ink and outline."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outline:
    """One line, in pixels of the work page."""

    polygon: Floats
    """Shape (points, 2)."""
    baseline: Floats
    """Shape (points, 2), from left to right."""


def outlines(pen: Mask, tracks: list[Track], body: float, scale: float) -> list[Outline]:
    """Return the outlines of the tracks that got any ink, in the order given.

    Args:
        pen: the ink of the work page.
        tracks: in pixels of the shrunk maps.
        body: height of a letter's body in pixels of the work page.
        scale: pixels of the work page for one of the maps.
    """
    middles = [_middle(track, scale) for track in tracks]
    rows, columns = np.nonzero(pen)
    zones, centres = _paint(pen.shape, middles, body)
    owner = _owners(pen, rows, columns, zones, centres, body)
    order = np.argsort(owner, kind="stable")
    limits = np.searchsorted(owner[order], np.arange(1, len(tracks) + 2))
    found: list[Outline] = []
    for number, middle in enumerate(middles):
        mine = order[limits[number] : limits[number + 1]]
        if len(mine):
            found.append(_outline(columns[mine], rows[mine], middle, body))
    return found


def _middle(track: Track, scale: float) -> Floats:
    """Return the track in pixels of the work page, shape (columns, 2), smoothed over its steps."""
    size = 9
    padded = np.pad(track.heights.astype(np.float64), size // 2, mode="edge")
    y = np.convolve(padded, np.full(size, 1 / size), mode="valid")
    if len(y) < STRAIGHT * BODY:  # how so short a ridge bends says nothing about the line
        y = np.full(len(y), np.median(y))
    x = np.arange(track.left, track.right + 1)
    return (np.column_stack([x, y]) + 0.5) * scale - 0.5


def _paint(shape: tuple[int, ...], middles: list[Floats], body: float) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return for every pixel the number of the line whose zone it is in, from 1, or 0; and the middles by column.

    A zone reaches as far as ascenders and descenders do, or half-way to the next line.
    """
    width = shape[1]
    centres = np.full((len(middles), width), np.nan)
    for number, middle in enumerate(middles):
        first, last = np.clip(np.rint(middle[[0, -1], 0]), 0, width - 1).astype(int)
        columns = np.arange(first, last + 1)
        centres[number, columns] = np.interp(columns, middle[:, 0], middle[:, 1])
    zones = np.zeros(shape, np.int32)
    if not middles:
        return zones, centres
    reach = round(BEYOND * body)
    for number, centre in enumerate(centres.copy()):
        (columns,) = np.nonzero(~np.isnan(centre))
        for start, step in ((columns[0], -1), (columns[-1], 1)):
            for x in range(start + step, start + (reach + 1) * step, step):
                if not 0 <= x < width or (np.abs(centres[:, x] - centre[start]) < ABOVE / 2 * body).any():
                    break  # another line begins here
                centres[number, x] = centre[start]
    order = np.argsort(centres, axis=0)  # not a number comes last
    ranked = np.take_along_axis(centres, order, axis=0)
    half_way = (ranked[:-1] + ranked[1:]) / 2
    edge = np.full((1, width), np.nan)
    tops = np.fmax(ranked - ABOVE * body, np.vstack([edge, half_way]))
    bottoms = np.fmin(ranked + BELOW * body, np.vstack([half_way, edge]))
    back = np.argsort(order, axis=0)
    tops, bottoms = np.take_along_axis(tops, back, axis=0), np.take_along_axis(bottoms, back, axis=0)
    for number in range(len(middles)):
        (columns,) = np.nonzero(~np.isnan(centres[number]))
        upper = np.column_stack([columns, tops[number, columns]])
        lower = np.column_stack([columns, bottoms[number, columns]])
        corners = np.rint(np.vstack([upper, lower[::-1]])).astype(np.int32)
        cv2.fillPoly(zones, [corners.reshape(-1, 1, 2)], number + 1)
    return zones, centres


def _owners(
    pen: Mask, rows: Ints, columns: Ints, zones: npt.NDArray[np.int32], centres: Floats, body: float
) -> Ints:
    """Return for every pixel of ink the number of its line, from 1, or 0."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(pen.astype(np.uint8), connectivity=8)
    piece, zone = labels[rows, columns].astype(np.int64), zones[rows, columns].astype(np.int64)
    most = int(zone.max(initial=0)) + 1
    pairs, sizes = np.unique(piece * most + zone, return_counts=True)
    along = pairs % most > 0
    pairs, sizes = pairs[along], sizes[along]
    order = np.lexsort((-sizes, pairs // most))
    pairs, sizes = pairs[order], sizes[order]
    first = np.unique(pairs // most, return_index=True)[1]
    best, share = np.zeros(count, np.int64), np.zeros(count)
    best[pairs[first] // most] = pairs[first] % most
    share[pairs[first] // most] = sizes[first] / stats[pairs[first] // most, cv2.CC_STAT_AREA]
    tall = stats[:, cv2.CC_STAT_HEIGHT] > TALLEST * body
    whole = (share >= WHOLE) & ~tall
    owner = np.where(whole[piece], best[piece], zone)
    if len(centres):
        away = np.abs(rows - centres[zone - 1, columns]) > NEAR * body
        owner[tall[piece] & away] = 0
    return owner


def _outline(x: Ints, y: Ints, middle: Floats, body: float) -> Outline:
    step = max(1.0, body / 2)
    left, right = float(x.min()), float(x.max()) + 1
    count = max(2, round((right - left) / step))
    edges = np.linspace(left, right, count + 1)
    place = np.clip(((x - left) / (right - left) * count).astype(int), 0, count - 1)
    top, bottom = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(top, place, y)
    np.maximum.at(bottom, place, y + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    axis = np.interp(centres, middle[:, 0], middle[:, 1])
    inked = np.isfinite(top)
    drop = float(np.clip(np.median((bottom - axis)[inked]), 0.2 * body, 1.2 * body))
    top = np.maximum(top, axis - np.percentile((axis - top)[inked], USUAL))
    bottom = np.minimum(bottom, axis + np.percentile((bottom - axis)[inked], USUAL))
    top = _widest(np.minimum(top, axis - 0.5 * body), np.minimum) - MARGIN * body
    bottom = _widest(np.maximum(bottom, axis + 0.5 * body), np.maximum) + MARGIN * body
    ends = np.array([left - MARGIN * body, *centres[1:-1], right + MARGIN * body])
    ring = np.vstack([np.column_stack([ends, top]), np.column_stack([ends, bottom])[::-1]])
    base = np.column_stack([ends, axis + drop])
    return Outline(
        polygon=_simple(ring, 0.08 * body, closed=True), baseline=_simple(base, 0.15 * body, closed=False)
    )


def _widest(values: Floats, pick: np.ufunc) -> Floats:
    """Return for every place the outermost of it and its two neighbours."""
    padded = np.pad(values, 1, mode="edge")
    return np.asarray(pick(pick(padded[:-2], padded[1:-1]), padded[2:]), np.float64)


def _simple(points: Floats, tolerance: float, *, closed: bool) -> Floats:
    """Return fewer points that stray no further than the tolerance (Ramer 1972; Douglas and Peucker 1973)."""
    fewer = cv2.approxPolyDP(points.astype(np.float32).reshape(-1, 1, 2), tolerance, closed)
    return np.asarray(fewer, np.float64).reshape(-1, 2)
