"""Raw log-probability of a reading -> probability that the whole line is right (Platt scaling).

Best-path probability is far from the truth: it ignores other paths and a network's overconfidence. A logistic
curve over log(-log p) is fitted on lines that training did not see (Platt 1999; targets smoothed as there).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

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


def fit(log_probs: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Fit the curve by Newton's method, each step halved until the loss falls.

    Args:
        log_probs: best-path log-probability of each line.
        right: whether the line was read without error.
    """
    if not log_probs:
        return Calibration()
    x = np.array([_feature(p) for p in log_probs])
    num_right, num_wrong = sum(right), len(right) - sum(right)
    # Platt's targets keep the curve finite where every line is right, or none.
    high, low = (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2)
    target = np.where(np.array(right, dtype=bool), high, low)
    middle, spread = float(x.mean()), float(x.std()) or 1.0
    slope, offset = _logistic((x - middle) / spread, target)
    if slope > 0:  # no order to be learnt from these lines: fall back to their share of right ones
        share = float(target.mean())
        return Calibration(slope=0.0, offset=math.log(share / (1 - share)))
    return Calibration(slope=slope / spread, offset=offset - slope * middle / spread)


def _logistic(x: Values, target: Values) -> tuple[float, float]:
    """Return slope and offset of least logistic loss, with a trace of ridge."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.zeros(2)

    def loss(w: Values) -> float:
        z = design @ w
        return float((np.logaddexp(0, z) - target * z).sum() + 0.5e-3 * (w @ w))

    for _ in range(100):
        p = 1 / (1 + np.exp(-(design @ weights)))
        gradient = design.T @ (p - target) + 1e-3 * weights
        if np.abs(gradient).max() < 1e-8 * len(x):
            break
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-12:
            step = step / 2
        weights = weights - step
    return float(weights[0]), float(weights[1])


def _feature(log_prob: float) -> float:
    return math.log(max(_FLOOR, -log_prob))
