"""Lines that look alike lie near each other."""

import io

import numpy as np
from PIL import Image

from serving.web.likeness import SIZE, likeness
from tests.conftest import line_png


def png(grey: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def strokes(lean: float, seed: int) -> bytes:
    """Return strokes that lean so many pixels a row."""
    rng = np.random.default_rng(seed)
    grey = np.full((40, 400), 230, np.uint8)
    for left in np.arange(40, 340, 12) + rng.integers(-2, 3, 25):
        for row in range(6, 34):
            at = int(left + lean * row)
            grey[row, at : at + 3] = 30
    return png(grey)


def test_the_same_hand_lies_nearer_than_another() -> None:
    one, again, other = (likeness(strokes(lean, seed), "text") for lean, seed in ((0.5, 1), (0.5, 2), (-0.5, 3)))
    assert np.linalg.norm(one - again) < 0.5 * np.linalg.norm(one - other)


def test_any_line_gives_finite_numbers() -> None:
    for image in (line_png("a"), png(np.full((4, 1), 255, np.uint8)), png(np.zeros((5, 900), np.uint8))):
        vector = likeness(image, "")
        assert vector.shape == (SIZE,)
        assert np.isfinite(vector).all()
