"""Pieces of lines -> whole lines: cut where there is no ink, joined where one goes on as another ended.

Lengths are in pixels of the shrunk maps, where a letter's body is BODY pixels high; see `htr.layout.ridges`.
"""

import numpy as np

from htr.layout.geometry import Mask
from htr.layout.ridges import BODY, Map, Track

WIDEST_GAP = 6 * BODY
"""Between two words of one line."""
SPAN = round(6 * BODY)
"""Columns from which the slope at a line's end is told."""
NARROWEST = round(0.8 * BODY)
"""A line is at least this wide."""
AROUND = round(4 * BODY)
"""Columns over which the density of strokes is told."""
SPARSEST = 0.3
"""Share of the page's usual density of strokes from which on something is writing."""
THINNEST = 0.55
"""The same over a whole line, gaps between words included."""
SHORT = 15 * BODY
"""Only lines shorter than this are doubted to be lines at all."""
BESIDE = 8 * BODY
"""From a piece of upright writing to what else may be one."""
EVEN = 0.6
"""Spread of ink over the rows of a stack of lines, from which on they are lines."""
FEWEST_EDGES = 8.0
"""Beginnings and ends of strokes, in rows of the shrunk map: fewer are a speck, not a letter."""


def whole_lines(tracks: list[Track], edges: Map, walls: Mask) -> list[Track]:
    """Return one track a line of text.

    Args:
        tracks: pieces, as `htr.layout.ridges.trace` gives them.
        edges: where strokes begin and end, summed over the pixels that each pixel of the map was made of.
        walls: what no line crosses.
    """
    usual = _usual_density(tracks, edges)
    pieces = [part for track in tracks for part in _written(track, edges, usual)]
    pieces = _without_doubles(pieces)
    lines = _join(pieces, walls)
    lines = [line for line in _without_doubles(lines) if _is_writing(line, edges, usual)]
    return _without_upright_writing(lines, edges)


def band(track: Track, values: Map, *, above: float, below: float) -> Map:
    """Return the values around a track, shape (rows, columns of the track)."""
    offsets = np.arange(-round(above), round(below) + 1)
    rows = np.clip(np.rint(track.heights).astype(int)[None, :] + offsets[:, None], 0, values.shape[0] - 1)
    columns = np.arange(track.left, track.right + 1)[None, :]
    return values[rows, columns]


def _is_writing(track: Track, edges: Map, usual: float) -> bool:
    """Tell a line from a speck and from a flourish."""
    count = float(_per_column(track, edges).sum())
    return len(track.heights) >= NARROWEST and count >= max(FEWEST_EDGES, THINNEST * usual * len(track.heights))


def _without_upright_writing(lines: list[Track], edges: Map) -> list[Track]:
    """Drop what was found across writing that runs up or down the page, and the pieces next to that.

    Where lines are level the ink thins out from row to row more than from column to column; across upright writing
    it is the other way round.
    """
    spreads = [_spreads(line, edges) for line in lines]
    short = [len(line.heights) < SHORT for line in lines]
    crossing = {n for n, (rows, columns) in enumerate(spreads) if short[n] and rows < min(EVEN, columns)}
    places = np.array([(t.left, t.right, float(np.median(t.heights))) for t in lines]).reshape(-1, 3)
    across = places[sorted(crossing)]
    beside: set[int] = set()
    for n, (left, right, middle) in enumerate(places):
        shared = np.minimum(right, across[:, 1]) - np.maximum(left, across[:, 0])
        close = (shared > 0.3 * (right - left + 1)) & (np.abs(middle - across[:, 2]) < BESIDE)
        if short[n] and spreads[n][0] < 1.0 and close.any():
            beside.add(n)
    return [line for n, line in enumerate(lines) if n not in crossing | beside]


def _spreads(line: Track, edges: Map) -> tuple[float, float]:
    """Return the spread of the edges over rows and over columns around a line, standard deviations by means."""
    middle, reach = round(float(np.median(line.heights))), round(5 * BODY)
    window = edges[max(0, middle - reach) : middle + reach + 1, line.left : line.right + 1]
    sums = [np.convolve(window.sum(axis=axis), np.ones(3), mode="same") for axis in (1, 0)]
    rows, columns = (float(values.std() / max(1e-6, values.mean())) for values in sums)
    return rows, columns


def _per_column(track: Track, edges: Map) -> Map:
    """Return how many edges of strokes each column of a track has."""
    return np.asarray(band(track, edges, above=0.7 * BODY, below=0.7 * BODY).sum(axis=0))


def _density(per_column: Map) -> Map:
    """Return the mean over the neighbourhood of each column."""
    padded = np.pad(per_column, AROUND // 2)
    sums = np.concatenate([[0.0], np.cumsum(padded, dtype=np.float64)])
    return np.asarray((sums[AROUND:] - sums[:-AROUND])[: len(per_column)] / AROUND, np.float32)


def _usual_density(tracks: list[Track], edges: Map) -> float:
    """Return how many edges a column of writing has on this page: the median over all that has some."""
    found: list[Map] = []
    for track in tracks:
        per_column = _per_column(track, edges)
        found.append(_density(per_column)[per_column > 0])
    values = np.concatenate(found) if found else np.zeros(0)
    return float(np.median(values)) if len(values) else 0.0


def _written(track: Track, edges: Map, usual: float) -> list[Track]:
    """Cut a track where the gap between two words is too wide, and off where strokes stand too far apart.

    A flourish around the text, or what is left of a ruled line, has a stroke now and then; writing has many.
    """
    per_column = _per_column(track, edges)
    (columns,) = np.nonzero((per_column > 0) & (_density(per_column) >= SPARSEST * usual))
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
    ordered = sorted(tracks, key=lambda t: (-len(t.heights), t.left, float(t.heights[0])))
    extents = np.array([(t.left, t.right, t.heights.min(), t.heights.max()) for t in ordered]).reshape(-1, 4)
    kept: list[Track] = []
    kept_rows: list[int] = []
    for row, track in enumerate(ordered):
        low, high, top, bottom = extents[row]
        others = extents[kept_rows]
        near = np.minimum(high, others[:, 1]) - np.maximum(low, others[:, 0]) >= 0.5 * len(track.heights)
        near &= (others[:, 2] < bottom + BODY) & (others[:, 3] > top - BODY)
        for other in (kept[n] for n in np.flatnonzero(near)):
            left, right = max(track.left, other.left), min(track.right, other.right)
            apart = np.abs(track.part(left, right).heights - other.part(left, right).heights)
            if float(np.median(apart)) < BODY:
                break
        else:
            kept.append(track)
            kept_rows.append(row)
    return kept


def _join(pieces: list[Track], walls: Mask) -> list[Track]:
    """Join greedily, the closest pair first: what goes on at the height where the other was heading."""
    ends = [piece.end(right=True, span=SPAN) for piece in pieces]
    starts = np.array([piece.end(right=False, span=SPAN) for piece in pieces]).reshape(-1, 2)
    lefts = np.array([piece.left for piece in pieces])
    pairs: list[tuple[float, int, int]] = []
    for i, before in enumerate(pieces):
        y, slope = ends[i]
        gaps = lefts - before.right
        steps = np.abs(starts[:, 0] - y - (slope + starts[:, 1]) / 2 * gaps)
        fits = (gaps >= -2 * BODY) & (gaps <= WIDEST_GAP) & (lefts > before.left)
        fits &= steps <= 0.8 * BODY + 0.08 * np.maximum(0, gaps)
        for j in np.flatnonzero(fits).tolist():
            if not _walled(walls, before.right, y, pieces[j].left, float(starts[j, 0])):
                pairs.append((float(max(0, gaps[j]) + 3 * steps[j]), i, j))
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
