"""Training-only distortions of line tensors: what other hands, pens and scanners would have done.

Shapes: a line is (H, W) float32, 0 paper, 1 ink. Widths may change; heights never do.
"""

import cv2
import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float32]

_KERNEL = np.ones((2, 2), np.uint8)


def augment(line_HW: Line, rng: np.random.Generator, *, strength: float = 1.0) -> Line:
    """Return a distorted copy: shear, stretch, small rotation and shift, bends, stroke weight, ink, noise.

    Args:
        line_HW: the line.
        rng: decides everything; equal generators give equal lines.
        strength: 0 changes nothing, 1 is the recipe's default.
    """
    if strength <= 0:
        return line_HW
    line = _warp(line_HW, rng, strength)
    if rng.random() < 0.25 * strength:
        # Half of it only: a stroke one pixel wide would be eroded away.
        other = cv2.dilate(line, _KERNEL) if rng.random() < 0.5 else cv2.erode(line, _KERNEL)
        line = (line + np.asarray(other, np.float32)) * np.float32(0.5)
    line = line * np.float32(rng.uniform(1 - 0.3 * strength, 1))
    if rng.random() < 0.5:
        line = line + rng.normal(0, 0.05 * strength, line.shape).astype(np.float32)
    return np.clip(line, 0, 1).astype(np.float32)


def mask_spans(line_HW: Line, rng: np.random.Generator, *, share: float) -> Line:
    """Return a copy with bands of columns wiped to paper, so that letters must be guessed from their neighbours.

    As Park et al. 2019, "SpecAugment", mask time. Each band is a fifth to three fifths of the height wide.

    Args:
        line_HW: the line.
        rng: decides everything.
        share: of the columns that is wiped at most, on average, 0..1: bands may overlap.
    """
    height, width = line_HW.shape
    masked = line_HW.copy()
    for _ in range(rng.poisson(share * width / (0.4 * height))):
        band = round(rng.uniform(0.2, 0.6) * height)
        left = int(rng.integers(-band, width))
        masked[:, max(0, left) : left + band] = 0
    return masked


def _warp(line_HW: Line, rng: np.random.Generator, strength: float) -> Line:
    """Shear, stretch, turn and shift the line, and bend it a little everywhere, in one resampling."""
    height, width = line_HW.shape
    stretch = 1 + rng.uniform(-0.12, 0.12) * strength
    tall = 1 + rng.uniform(-0.12, 0.05) * strength
    shear = rng.uniform(-0.35, 0.35) * strength
    # Half a row's height of drift over the whole line is as far as a deskewed line still leans.
    turn = rng.uniform(-0.06, 0.06) * strength * height / width
    shift = rng.uniform(-0.05, 0.05) * strength * height
    middle = height / 2
    new_width = max(4, round(width * stretch))
    forward = np.array(
        [[stretch, shear, -shear * middle], [turn, tall, middle * (1 - tall) + shift - turn * width / 2]],
        np.float64,
    )
    back = cv2.invertAffineTransform(forward).astype(np.float32)
    columns_W, rows_H1 = np.arange(new_width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    from_x_HW = back[0, 0] * columns_W + (back[0, 1] * rows_H1 + back[0, 2])
    from_y_HW = back[1, 0] * columns_W + (back[1, 1] * rows_H1 + back[1, 2])
    bend_x_HW, bend_y_HW = _bends(height, new_width, rng, strength)
    warped = cv2.remap(
        line_HW, from_x_HW + bend_x_HW, from_y_HW + bend_y_HW, interpolation=cv2.INTER_LINEAR, borderValue=0.0
    )
    return np.asarray(warped, np.float32)


def _bends(height: int, width: int, rng: np.random.Generator, strength: float) -> tuple[Line, Line]:
    """Return smooth random displacements of every pixel, in pixels.

    Random vectors on a coarse grid, a knot every half height, smoothed in between (Wigington et al. 2017, "Data
    augmentation for recognition of handwritten words and lines", there with a finer grid and larger vectors).
    """
    knots = (3, max(3, 2 * width // height))
    x, y = (rng.normal(0, 0.03 * height * strength, knots).astype(np.float32) for _ in range(2))
    size = (width, height)
    bend_x, bend_y = (cv2.resize(bend, size, interpolation=cv2.INTER_LINEAR) for bend in (x, y))
    return np.asarray(bend_x, np.float32), np.asarray(bend_y, np.float32)
