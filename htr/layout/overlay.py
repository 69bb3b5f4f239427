"""A page with its lines drawn on it: what to look at before trusting any figure."""

import cv2
import numpy as np
from PIL import Image

from htr.layout.geometry import PageLine

MAX_SIDE = 1600
"""Pixels; larger pages are shrunk."""
_COLOURS = ((200, 30, 30), (20, 90, 200), (10, 140, 60))
_BASELINE = (240, 140, 0)


def overlay(image: Image.Image, lines: tuple[PageLine, ...]) -> Image.Image:
    """Return the page with outlines in changing colours, baselines, and numbers in reading order.

    Args:
        image: the page, upright.
        lines: in its pixels.
    """
    factor = min(1.0, MAX_SIDE / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    canvas = np.array(image.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    for number, line in enumerate(lines, start=1):
        colour = _COLOURS[number % len(_COLOURS)]
        polygon, baseline = (
            np.rint(np.asarray(points) * factor).astype(np.int32).reshape(-1, 1, 2)
            for points in (line.polygon, line.baseline)
        )
        cv2.polylines(canvas, [baseline], False, _BASELINE, 1, cv2.LINE_AA)
        cv2.polylines(canvas, [polygon], True, colour, 2, cv2.LINE_AA)
        left, _, _, bottom = line.box
        place = (max(0, round(left * factor) - 22), round(bottom * factor) - 4)
        cv2.putText(canvas, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return Image.fromarray(canvas)
