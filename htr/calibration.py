"""Log-probability of a reading -> probability that the whole line is right (Platt scaling).

A network is overconfident, and not in the same measure on short and on long lines. A logistic curve over the
log-odds of the text and the log of its length is fitted on lines that training did not see (Platt 1999; targets
smoothed as there). Decision record 11 compares it with temperature and isotonic regression.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_FLOOR = 1e-6
_LEAST_LOG_PROB = -1000.0
"""Stands for anything below: a text that does not fit into its line has a log-probability of -infinity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The logistic curve; the default gives the raw best-path probability back, nearly."""

    slope: float = -1.0
    """For the log of the odds against the text. Never positive: at the same length, a less probable text is never
    more trusted."""
    offset: float = 0.0
    length_slope: float | None = None
    """For the log of the number of characters. None, as in bundles that were calibrated before it came: a curve
    over log(-log p) of the best path alone."""

    def confidence(self, *, log_prob: float, best_path: float, num_characters: int) -> float:
        """Return the probability, 0..1, that a line is right.

        Args:
            log_prob: log-probability of the text, over all its alignments.
            best_path: log-probability of its best alignment alone.
            num_characters: of the text.
        """
        if self.length_slope is None:
            z = self.slope * math.log(max(_FLOOR, -best_path)) + self.offset
        else:
            z = self.slope * _odds_against(log_prob) + self.length_slope * _length(num_characters) + self.offset
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))

    def to_dict(self) -> dict[str, float]:
        """Return the parameters that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def fit(log_probs: Sequence[float], num_characters: Sequence[int], right: Sequence[bool]) -> Calibration:
    """Fit the curve by Newton's method, each step halved until the loss falls.

    Args:
        log_probs: log-probability of each text, over all its alignments.
        num_characters: of each text.
        right: whether the line was read without error.
    """
    if not log_probs:
        return Calibration(length_slope=0.0)
    features = np.array([(_odds_against(p), _length(n)) for p, n in zip(log_probs, num_characters, strict=True)])
    num_right, num_wrong = sum(right), len(right) - sum(right)
    # Platt's targets keep the curve finite where every line is right, or none.
    high, low = (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2)
    target = np.where(np.array(right, dtype=bool), high, low)
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread < _FLOOR] = 1.0
    slope, length_slope, offset = _logistic((features - middle) / spread, target)
    if slope > 0:  # no order to be learnt from these lines: fall back to their share of right ones
        share = float(target.mean())
        return Calibration(slope=0.0, offset=math.log(share / (1 - share)), length_slope=0.0)
    slope, length_slope = slope / spread[0], length_slope / spread[1]
    return Calibration(
        slope=float(slope),
        offset=float(offset - slope * middle[0] - length_slope * middle[1]),
        length_slope=float(length_slope),
    )


def _logistic(features: Values, target: Values) -> Values:
    """Return the slopes and the offset of least logistic loss, with a trace of ridge."""
    design = np.column_stack([features, np.ones(len(features))])
    ridge = 1e-3
    weights = np.zeros(design.shape[1])

    def loss(w: Values) -> float:
        z = design @ w
        return float((np.logaddexp(0, z) - target * z).sum() + 0.5 * ridge * (w @ w))

    for _ in range(100):
        p = 1 / (1 + np.exp(-(design @ weights)))
        gradient = design.T @ (p - target) + ridge * weights
        if np.abs(gradient).max() < 1e-8 * len(features):
            break
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + ridge * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-12:
            step = step / 2
        weights = weights - step
    return weights


def _odds_against(log_prob: float) -> float:
    """Return log((1 - p) / p)."""
    log_prob = max(_LEAST_LOG_PROB, min(-_FLOOR, log_prob))
    return math.log(-math.expm1(log_prob)) - log_prob


def _length(num_characters: int) -> float:
    return math.log(max(1, num_characters))
