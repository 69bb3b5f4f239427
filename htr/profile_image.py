"""What the network is shown -> a few numbers about the hand, the paper and the camera.

They are measured on the line tensor, after scaling and stretching: what those take away (resolution, tint) cannot
change a reading, and does not change these numbers much either.

Shapes: H and W pixels, 0 paper, 1 ink.
"""

import numpy as np
import numpy.typing as npt

INK = 0.5
"""A pixel above it is ink."""
_STRIPS = 8
"""The background is compared between as many strips of the line."""

Line = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def measure_image(line_HW: Line) -> dict[str, float]:
    """Return the image features of a profile row by name; a line without ink has zeros where they need some.

    Args:
        line_HW: the line tensor without the paper that was added on its right.
    """
    height, width = line_HW.shape
    ink_HW = line_HW > INK
    steps_HW = np.abs(line_HW[:, 1:] - line_HW[:, :-1])
    num_ink = int(np.count_nonzero(ink_HW))
    skew, spread = _moments(ink_HW, num_ink)
    background, unevenness = _background(line_HW, ink_HW)
    return {
        "aspect": width / height,
        "ink_share": num_ink / ink_HW.size,
        "background": background,
        "unevenness": unevenness,
        "noise": _noise(steps_HW, ink_HW),
        "sharpness": _sharpness(steps_HW),
        "slant": _slant(ink_HW),
        "stroke_width": _run_length(ink_HW, num_ink) / height,
        "skew": skew,
        "ink_spread": spread,
    }


def _background(line_HW: Line, ink_HW: Mask) -> tuple[float, float]:
    """Return how grey what is not ink is, and the standard deviation of that between strips of the line."""
    greys_W = np.where(ink_HW, np.float32(0), line_HW).sum(axis=0)
    counts_W = len(ink_HW) - ink_HW.sum(axis=0)
    total = int(counts_W.sum())
    if not total:
        return 1.0, 0.0
    starts = np.arange(min(_STRIPS, len(counts_W))) * len(counts_W) // min(_STRIPS, len(counts_W))
    counts = np.add.reduceat(counts_W, starts)
    means = np.add.reduceat(greys_W, starts)[counts > 0] / counts[counts > 0]
    return float(greys_W.sum() / total), float(means.std())


def _noise(steps_HW: Line, ink_HW: Mask) -> float:
    """Return the mean difference of neighbouring pixels that are both paper."""
    paper_HW = ~(ink_HW[:, 1:] | ink_HW[:, :-1])
    num = int(np.count_nonzero(paper_HW))
    return float(steps_HW.ravel() @ paper_HW.ravel().astype(np.float32)) / num if num else 0.0


def _sharpness(steps_HW: Line) -> float:
    """Return the mean horizontal step, each weighted by itself: edges count, flat paper does not. 0..1."""
    steps = steps_HW.ravel()
    total = float(steps.sum())
    return float(steps @ steps) / total if total else 0.0


def _run_length(ink_HW: Mask, num_ink: int) -> float:
    """Return the mean length of horizontal runs of ink, in pixels."""
    begins = np.count_nonzero(ink_HW[:, :1]) + np.count_nonzero(ink_HW[:, 1:] & ~ink_HW[:, :-1])
    return num_ink / max(1, int(begins))


def _slant(ink_HW: Mask) -> float:
    """Return which way strokes lean, -1..1: how much better rows match the row above shifted right than left.

    Strokes lean at most one pixel a row; finer leans show in the balance of the three.
    """
    below, above = ink_HW[1:], ink_HW[:-1]
    left = int(np.count_nonzero(below[:, 1:] & above[:, :-1]))
    middle = int(np.count_nonzero(below & above))
    right = int(np.count_nonzero(below[:, :-1] & above[:, 1:]))
    total = left + middle + right
    return (right - left) / total if total else 0.0


def _moments(ink_HW: Mask, num_ink: int) -> tuple[float, float]:
    """Return how steeply the ink climbs along the line (pixels a pixel, above 0 upwards), and how high it stands.

    The second is the standard deviation of the ink's height around its rising middle, over the height of the line.
    """
    if not num_ink:
        return 0.0, 0.0
    height, width = ink_HW.shape
    up_H, along_W = np.arange(height, 0, -1, dtype=np.float32), np.arange(width, dtype=np.float32)
    ink = ink_HW.astype(np.float32)
    counts_W, counts_H = ink.sum(axis=0), ink.sum(axis=1)
    x, y = float(counts_W @ along_W) / num_ink, float(counts_H @ up_H) / num_ink
    x_var = float(counts_W @ (along_W - x) ** 2) / num_ink
    y_var = float(counts_H @ (up_H - y) ** 2) / num_ink
    covariance = float((up_H - y) @ (ink @ (along_W - x))) / num_ink
    slope = covariance / x_var if x_var else 0.0
    return slope, max(0.0, y_var - slope * covariance) ** 0.5 / height
