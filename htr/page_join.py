"""Pieces of lines -> whole lines: cut where there is no ink, joined where one goes on as another ended.

Lengths are in pixels of the shrunk maps, where a letter's body is BODY pixels high; see `htr.page_ridges`.
"""

import numpy as np

from htr.page_geometry import Mask
from htr.page_ridges import BODY, Map, Track

WIDEST_GAP = 6 * BODY
"""Between two words of one line."""
SPAN = round(6 * BODY)
"""Columns from which the slope at a line's end is told."""
FEWEST_EDGES = 8.0
"""Beginnings and ends of strokes, in rows of the shrunk map: fewer are a speck, not a letter."""


def whole_lines(tracks: list[Track], edges: Map, walls: Mask) -> list[Track]:
    """Return one track a line of text.

    Args:
        tracks: pieces, as `htr.page_ridges.trace` gives them.
        edges: where strokes begin and end, summed over the pixels that each pixel of the map was made of.
        walls: what no line crosses.
    """
    pieces = [part for track in tracks for part in _inked(track, edges)]
    pieces = _without_doubles(pieces)
    lines = _join(pieces, walls)
    return [line for line in _without_doubles(lines) if _num_edges(line, edges) >= FEWEST_EDGES]


def band(track: Track, values: Map, *, above: float, below: float) -> Map:
    """Return the values around a track, shape (rows, columns of the track)."""
    offsets = np.arange(-round(above), round(below) + 1)
    rows = np.clip(np.rint(track.heights).astype(int)[None, :] + offsets[:, None], 0, values.shape[0] - 1)
    columns = np.arange(track.left, track.right + 1)[None, :]
    return values[rows, columns]


def _num_edges(track: Track, edges: Map) -> float:
    return float(band(track, edges, above=0.7 * BODY, below=0.7 * BODY).sum())


def _inked(track: Track, edges: Map) -> list[Track]:
    """Cut a track where the gap between two strokes is too wide, and off where no stroke is any more."""
    (columns,) = np.nonzero(band(track, edges, above=0.7 * BODY, below=0.7 * BODY).sum(axis=0) > 0)
    if not len(columns):
        return []
    cuts = np.flatnonzero(np.diff(columns) > WIDEST_GAP)
    starts, ends = [0, *(cuts + 1)], [*cuts, len(columns) - 1]
    return [
        track.part(track.left + int(columns[a]), track.left + int(columns[b]))
        for a, b in zip(starts, ends, strict=True)
    ]


def _without_doubles(tracks: list[Track]) -> list[Track]:
    """Drop what runs along a longer track less than a body away."""
    kept: list[Track] = []
    for track in sorted(tracks, key=lambda t: (-len(t.heights), t.left, float(t.heights[0]))):
        for other in kept:
            left, right = max(track.left, other.left), min(track.right, other.right)
            if right - left < 0.5 * len(track.heights):
                continue
            apart = np.abs(track.part(left, right).heights - other.part(left, right).heights)
            if float(np.median(apart)) < BODY:
                break
        else:
            kept.append(track)
    return kept


def _join(pieces: list[Track], walls: Mask) -> list[Track]:
    """Join greedily, the closest pair first: what goes on at the height where the other was heading."""
    ends = [piece.end(right=True, span=SPAN) for piece in pieces]
    starts = [piece.end(right=False, span=SPAN) for piece in pieces]
    pairs: list[tuple[float, int, int]] = []
    for i, before in enumerate(pieces):
        for j, after in enumerate(pieces):
            gap = after.left - before.right
            if i == j or not -2 * BODY <= gap <= WIDEST_GAP or before.left >= after.left:
                continue
            (y, slope), (next_y, next_slope) = ends[i], starts[j]
            step = abs(next_y - y - (slope + next_slope) / 2 * gap)
            if step <= 0.8 * BODY + 0.08 * max(0, gap) and not _walled(walls, before.right, y, after.left, next_y):
                pairs.append((max(0, gap) + 3 * step, i, j))
    following: dict[int, int] = {}
    preceded: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in following and j not in preceded:
            following[i] = j
            preceded.add(j)
    lines: list[Track] = []
    for first in range(len(pieces)):
        if first not in preceded:
            line, at = pieces[first], first
            while at in following:
                at = following[at]
                line = _bridge(line, pieces[at])
            lines.append(line)
    return lines


def _walled(walls: Mask, x0: int, y0: float, x1: int, y1: float) -> bool:
    if x1 <= x0:
        return False
    columns = np.arange(x0, x1 + 1)
    rows = np.clip(np.rint(np.interp(columns, (x0, x1), (y0, y1))).astype(int), 0, walls.shape[0] - 1)
    return bool(walls[rows, columns].any())


def _bridge(before: Track, after: Track) -> Track:
    """Return both in one; where they overlap the first one holds, between them a straight line."""
    if after.right <= before.right:
        return before
    left = max(after.left, before.right + 1)
    rest = after.part(left, after.right).heights
    gap = np.linspace(before.heights[-1], rest[0], left - before.right + 1, dtype=np.float32)[1:-1]
    return Track(left=before.left, heights=np.concatenate([before.heights, gap, rest]))
