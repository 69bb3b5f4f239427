"""Raw log-probability of a reading -> probability that the whole line is right (Platt scaling).

Best-path probability is far from the truth: it ignores other paths and a network's overconfidence. A logistic
curve over log(-log p) is fitted on lines that training did not see (Platt 1999; targets smoothed as there).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FLOOR = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The logistic curve; the default gives the raw best-path probability back, nearly."""

    slope: float = -1.0
    """Never positive: a less probable path is never more trusted."""
    offset: float = 0.0

    def confidence(self, log_prob: float) -> float:
        """Return the probability, 0..1, that a line read with this best-path log-probability is right."""
        z = self.slope * _feature(log_prob) + self.offset
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))


def fit(log_probs: Sequence[float], right: Sequence[bool], *, num_steps: int = 50) -> Calibration:
    """Fit the curve by Newton's method.

    Args:
        log_probs: best-path log-probability of each line.
        right: whether the line was read without error.
        num_steps: Newton steps; it converges in about ten.
    """
    if not log_probs:
        return Calibration()
    x = np.array([_feature(p) for p in log_probs])
    num_right, num_wrong = sum(right), len(right) - sum(right)
    # Platt's targets keep the curve finite where every line is right, or none.
    high, low = (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2)
    target = np.where(np.array(right, dtype=bool), high, low)
    design = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.array([-1.0, 0.0])
    for _ in range(num_steps):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - target) + 1e-3 * weights
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-3 * np.eye(2)
        weights = weights - np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
    if weights[0] > 0:  # no order to be learnt from these lines: fall back to their share of right ones
        share = float(target.mean())
        return Calibration(slope=0.0, offset=math.log(share / (1 - share)))
    return Calibration(slope=float(weights[0]), offset=float(weights[1]))


def _feature(log_prob: float) -> float:
    return math.log(max(_FLOOR, -log_prob))
