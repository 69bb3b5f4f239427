"""Line images spoilt the way that scanners, cameras and years spoil them: what an estimate of errors learns from.

Every kind takes a strength, above 0: at 1 the writing is still easy for people, at 3 it is hard. A line stays a
line: paper is added where it is turned, nothing is cut off but by `cropped`.
"""

import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from htr.image import Grey, decode
from htr.levels import measure_levels

Corruption = Callable[[Grey, float, np.random.Generator], Grey]


def blurred(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigmaX=0.014 * strength * grey.shape[0]), np.uint8)


def faded(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Pale ink, and the grain of the paper then as strong as before."""
    paper = measure_levels(grey).paper
    pale = paper + (grey - paper) * 0.45**strength + rng.normal(0, 3, grey.shape)
    return _grey(pale)


def noisy(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """A poor sensor."""
    return _grey(grey + rng.normal(0, 18 * strength, grey.shape))


def turned(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """A page that lay askew, one way or the other."""
    height, width = grey.shape
    # Long lines leave their crop at smaller angles than short ones do.
    angle = np.degrees(np.arctan(0.3 * strength * height / max(width, 2 * height))) * rng.choice((-1, 1))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = round(height * sine + width * cosine), round(height * cosine + width * sine)
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return _warped(grey, turn, size)


def coarse(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Scanned at a low resolution."""
    height, width = grey.shape
    factor = 16 / strength**0.8 / height
    small = max(4, round(height * factor)), max(4, round(width * factor))
    return np.asarray(cv2.resize(grey, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def bled(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Ink from the back of the page, mirrored, and a stain."""
    paper = measure_levels(grey).paper
    back = np.roll(grey[:, ::-1], round(0.35 * grey.shape[0]), axis=0)
    return _grey(grey + (back.astype(np.float32) - paper) * min(0.9, 0.25 * strength))


def cropped(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Cut out too tightly, above or below."""
    cut = round(grey.shape[0] * min(0.5, 0.12 * strength))
    return np.ascontiguousarray(grey[cut:] if rng.random() < 0.5 else grey[: len(grey) - cut])


def photographed(grey: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """By a phone: in perspective, unevenly lit, a little out of focus, compressed hard."""
    height, width = grey.shape
    shift = rng.uniform(-0.18, 0.18, (4, 2)) * strength * height
    margin = round(0.18 * strength * height)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = (corners + shift + margin).astype(np.float32)
    size = width + 2 * margin, height + 2 * margin
    warp = cv2.getPerspectiveTransform(corners, moved)
    paper = measure_levels(grey).paper
    seen = cv2.warpPerspective(grey, warp, size, flags=cv2.INTER_LINEAR, borderValue=paper)
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    tilt = rng.uniform(-1, 1, 2)
    light = 1 - 0.16 * strength * (1 + tilt[0] * x + tilt[1] * y)
    lit = cv2.GaussianBlur(_grey(seen * light), (0, 0), sigmaX=0.008 * strength * height)
    out = io.BytesIO()
    Image.fromarray(np.asarray(lit, np.uint8)).save(out, "JPEG", quality=max(8, round(50 - 14 * strength)))
    return decode(out.getvalue())


CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": blurred,
    "faded": faded,
    "noise": noisy,
    "turned": turned,
    "coarse": coarse,
    "bled": bled,
    "cropped": cropped,
    "phone": photographed,
}


def _warped(grey: Grey, matrix: np.ndarray, size: tuple[int, int]) -> Grey:
    paper = measure_levels(grey).paper
    return np.asarray(cv2.warpAffine(grey, matrix, size, flags=cv2.INTER_LINEAR, borderValue=paper), np.uint8)


def _grey(values: np.ndarray) -> Grey:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
