"""Profile rows: a few numbers about one line image and its reading, which drift detection compares.

The same code makes them at evaluation (the bundle's ``reference.parquet``) and at serving (the prediction log).
"""

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from htr.ctc import BestPath, Scores
from htr.image import Grey, paper_and_ink

PROFILE_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Statistics of one image and its reading. Grey levels are 0..255; shares and probabilities 0..1."""

    width: float
    """Pixels, as sent."""
    height: float
    """Pixels, as sent."""
    aspect: float
    """Width over height."""
    ink_share: float
    """Share of pixels nearer to ink than to paper."""
    paper_level: float
    contrast: float
    """Grey levels between paper and ink."""
    noise: float
    """Mean absolute difference between neighbouring paper pixels, in grey levels."""
    sharpness: float
    """Steepest strokes: 99th percentile of the horizontal grey step, over the contrast."""
    slant: float
    """Balance of strokes that lean right (above 0) and left (below), -1..1; 0 is upright."""
    stroke_width: float
    """Mean horizontal run of ink, over the height."""
    num_characters: float
    characters_per_height: float
    """Characters read, over the aspect: how densely the hand writes."""
    digit_share: float
    """Share of digits among the characters read."""
    mean_log_prob: float
    """Mean log-probability of the best class a step, at most 0."""
    min_char_prob: float
    """Probability of the least certain character; 1 where nothing was read."""
    entropy: float
    """Mean entropy of the class scores a step, in nats."""
    blank_share: float
    """Share of steps whose best class is the blank."""


FEATURES = tuple(f.name for f in fields(Profile))
SCHEMA = pa.schema(
    [pa.field(name, pa.float32(), nullable=False) for name in FEATURES],
    metadata={"profile_version": str(PROFILE_VERSION)},
)


def profile(grey: Grey, log_probs_TK: Scores, path: BestPath, text: str) -> Profile:
    """Measure one line.

    Args:
        grey: the decoded image, before scaling.
        log_probs_TK: the network's scores for it.
        path: what was decoded from them.
        text: the reading.
    """
    height, width = grey.shape
    paper, ink = paper_and_ink(grey)
    contrast = abs(paper - ink)
    signal = grey.astype(np.float32)
    is_ink = np.abs(signal - paper) > contrast / 2
    steps = np.abs(np.diff(signal, axis=1))
    on_paper = ~(is_ink[:, 1:] | is_ink[:, :-1])
    probs = np.exp(log_probs_TK)
    num_characters = len(text)
    return Profile(
        width=width,
        height=height,
        aspect=width / height,
        ink_share=float(is_ink.mean()),
        paper_level=paper,
        contrast=contrast,
        noise=float(steps[on_paper].mean()) if on_paper.any() else 0.0,
        sharpness=float(np.percentile(steps, 99) / contrast) if steps.size else 0.0,
        slant=_slant(is_ink),
        stroke_width=_run_length(is_ink) / height,
        num_characters=num_characters,
        characters_per_height=num_characters * height / width,
        digit_share=sum(c.isdigit() for c in text) / max(1, num_characters),
        mean_log_prob=path.log_prob / len(log_probs_TK),
        min_char_prob=float(np.exp(min(path.char_log_probs, default=0.0))),
        entropy=float(-(probs * log_probs_TK).sum(axis=1).mean()),
        blank_share=float((log_probs_TK.argmax(axis=1) == 0).mean()),
    )


def _run_length(is_ink_HW: np.ndarray) -> float:
    """Return the mean length of horizontal runs of ink, in pixels."""
    begins = is_ink_HW[:, :1].sum() + (is_ink_HW[:, 1:] & ~is_ink_HW[:, :-1]).sum()
    return float(is_ink_HW.sum() / max(1, begins))


def _slant(is_ink_HW: np.ndarray) -> float:
    """Return which way strokes lean: how much better rows match the row above shifted right than left."""
    below, above = is_ink_HW[1:], is_ink_HW[:-1]
    best: list[float] = []
    for shift in (-1, 0, 1):  # strokes lean at most one pixel a row; finer leans show in the balance of the three
        moved = np.roll(below, shift, axis=1)
        best.append(float((moved & above).sum()))
    total = sum(best)
    return (best[2] - best[0]) / total if total else 0.0
