"""A page image in, its lines of writing out: outlines and baselines, in reading order.

No part of it is learnt, so that it works on any script and needs no pages marked by hand. The steps:

1. `htr.layout.ink`: even out the paper, tell ink from it, make the page level, take rules off
2. `htr.layout.gutters`: find the white strips between columns; with upright rules they are walls
3. `htr.layout.ridges`: find the size of the writing, follow its bands from left to right
4. `htr.layout.join`: cut and join them to whole lines, never across walls
5. `htr.layout.outlines`: give every piece of ink to a line, draw outline and baseline around it
6. `htr.layout.order`: sort the lines, number the blocks
"""

import numpy as np
import numpy.typing as npt

from htr.errors import ImageError
from htr.image import Grey
from htr.layout.geometry import Layout, PageLine, Points, transform
from htr.layout.gutters import find_gutters
from htr.layout.ink import MIN_SIDE, find_ink
from htr.layout.join import whole_lines
from htr.layout.order import in_reading_order
from htr.layout.outlines import Outline, outlines
from htr.layout.ridges import BODY, find_body, shrink, stroke_edges, trace

SEGMENTATION_VERSION = 1
"""Raise it whenever `find_lines` gives other lines: readings made before are then made anew, not mixed in."""


def find_lines(grey: Grey) -> Layout:
    """Find the lines of a page.

    Args:
        grey: the page, shape (height, width); lines within some 8 degrees of level.

    Returns:
        The lines in reading order, points in pixels of the page; none on an empty page.

    Raises:
        ImageError: the image is too small to be a page.
    """
    height, width = grey.shape
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"page has {width} x {height} pixels, at least {MIN_SIDE} x {MIN_SIDE} are needed; scan it larger",
        )
    ink = find_ink(grey)
    edges = stroke_edges(ink.pen)
    lines: list[PageLine] = []
    if edges.any():
        body = find_body(edges)
        scale = body / BODY
        small = shrink(edges, body)
        walls = (shrink(ink.walls.astype(np.float32), body) > 0) | find_gutters(small)
        tracks = whole_lines(trace(small, walls), small * scale, walls)
        found = outlines(ink.pen, tracks, body, scale)
        lines = [line for one in found if (line := _on_page(one, ink.to_page, width, height)) is not None]
    return Layout(
        width=width,
        height=height,
        lines=tuple(in_reading_order(lines)),
        dark=ink.dark,
        skew_degrees=ink.skew_degrees,
    )


def _on_page(outline: Outline, to_page: npt.NDArray[np.float64], width: int, height: int) -> PageLine | None:
    """Return the line in whole pixels of the page; None where nothing of it is left there."""
    polygon = _pixels(transform(outline.polygon, to_page), width, height)
    baseline = _pixels(transform(outline.baseline, to_page), width, height)
    xs, ys = zip(*polygon, strict=True)
    if len(set(polygon)) < 3 or max(xs) == min(xs) or max(ys) == min(ys) or len(baseline) < 2:
        return None
    return PageLine(polygon=polygon, baseline=baseline)


def _pixels(points: npt.NDArray[np.float64], width: int, height: int) -> Points:
    kept = np.clip(np.rint(points), 0, (width - 1, height - 1))
    return tuple((float(x), float(y)) for x, y in kept)
