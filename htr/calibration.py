"""Log-probability of a reading -> probability that the whole line is right (Platt scaling).

A network is overconfident, and not in the same measure on short and on long lines. A logistic curve over the
log-odds of the text and the log of its length is fitted on lines that training did not see (Platt 1999; targets
smoothed as there); where a beam search reads, over the root of -log of the text's share in it, too. Decision
record 11 compares it with temperature, isotonic regression and other inputs.
"""

import math
from collections.abc import Mapping, Sequence
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
    search_slope: float | None = None
    """For the log of the odds against the text among those that a beam search found; never positive. None but in
    bundles that were calibrated before `search_root_slope` came."""
    search_root_slope: float | None = None
    """For the root of -log of the text's share among those that a beam search found; never positive. None where no
    search reads."""

    def confidence(
        self, *, log_prob: float, best_path: float, num_characters: int, search_log_prob: float | None = None
    ) -> float:
        """Return the probability, 0..1, that a line is right.

        Args:
            log_prob: log-probability of the text, over all its alignments.
            best_path: log-probability of its best alignment alone.
            num_characters: of the text.
            search_log_prob: log of its share of the scores of all texts that the search found; None without one.

        Raises:
            ValueError: the curve was fitted on readings of a search, and this one comes from none.
        """
        if self.length_slope is None:
            z = self.slope * math.log(max(_FLOOR, -best_path)) + self.offset
        else:
            z = self.slope * _odds_against(log_prob) + self.length_slope * _length(num_characters) + self.offset
        if self.search_slope is not None or self.search_root_slope is not None:
            if search_log_prob is None:
                raise ValueError("this calibration is for readings of a beam search: search_log_prob is missing")
            z += (self.search_slope or 0.0) * _odds_against(search_log_prob)
            z += (self.search_root_slope or 0.0) * _doubt(search_log_prob)
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))

    def to_dict(self) -> dict[str, float]:
        """Return the parameters that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def fit(
    log_probs: Sequence[float],
    num_characters: Sequence[int],
    right: Sequence[bool],
    search_log_probs: Sequence[float] | None = None,
) -> Calibration:
    """Fit the curve by Newton's method, each step halved until the loss falls.

    Args:
        log_probs: log-probability of each text, over all its alignments.
        num_characters: of each text.
        right: whether the line was read without error.
        search_log_probs: log of each text's share among those that the search found; None where none searched.
    """
    if not log_probs:
        return Calibration(length_slope=0.0, search_root_slope=None if search_log_probs is None else 0.0)
    columns = {
        "slope": [_odds_against(p) for p in log_probs],
        "length_slope": [_length(n) for n in num_characters],
    }
    if search_log_probs is not None:
        columns["search_root_slope"] = [_doubt(p) for p in search_log_probs]
    num_right, num_wrong = sum(right), len(right) - sum(right)
    # Platt's targets keep the curve finite where every line is right, or none.
    high, low = (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2)
    target = np.where(np.array(right, dtype=bool), high, low)
    slopes = dict.fromkeys(columns, 0.0)
    used = list(columns)
    while found := _slopes({name: columns[name] for name in used}, target):
        # Odds that would raise the confidence of a less probable text have taught nothing: do without them.
        turned = [name for name in used if name != "length_slope" and found[name] > 0]
        if not turned:
            return Calibration(**{**slopes, **found})
        used.remove(max(turned, key=lambda name: found[name]))
        if used == [
            "length_slope"
        ]:  # no order to be learnt from these lines: fall back to their share of right ones
            used = []
    raise AssertionError("unreachable: without columns there is nothing to turn round")


def _slopes(columns: Mapping[str, Sequence[float]], target: Values) -> dict[str, float]:
    """Return the slope of every column and the ``offset``."""
    if not columns:
        share = float(target.mean())
        return {"offset": math.log(share / (1 - share))}
    features = np.array(list(columns.values()), dtype=np.float64).T
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread < _FLOOR] = 1.0
    *slopes, offset = _logistic((features - middle) / spread, target)
    slopes = [slope / one for slope, one in zip(slopes, spread, strict=True)]
    found = dict(zip(columns, map(float, slopes), strict=True))
    return {**found, "offset": float(offset - sum(s * m for s, m in zip(slopes, middle, strict=True)))}


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


def _doubt(log_prob: float) -> float:
    """Return the root of -log p: 0 where the search is sure, and no more than 32 where it is lost.

    Nearly sure and very nearly sure are far apart in odds, and alike in how often they are right.
    """
    return math.sqrt(-max(_LEAST_LOG_PROB, min(0.0, log_prob)))


def _length(num_characters: int) -> float:
    return math.log(max(1, num_characters))
