"""What a confidence is worth: confidences and the truth in; reliability, calibration error, reject curve out.

A confidence is the probability that a whole line is right. It is honest if of the lines at 0.8 four in five are
right (`reliability`, `calibration_error`), and useful if the errors stand where it is low (`reject_curve`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_BINS = 10
NUM_RESAMPLES = 500
TARGET_CER = 0.01

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Lines of similar confidence."""

    lines: int
    confidence: float
    """Mean over the lines, 0..1."""
    right: float
    """Share of the lines that were read without error, 0..1."""
    right_interval: tuple[float, float]
    """95 % interval of that share (Wilson 1927)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationError:
    """Expected calibration error, and what of it is the luck of the draw."""

    ece: float
    """Mean gap between confidence and share of right lines over the bins, 0..1."""
    interval: tuple[float, float]
    """How far this figure moves with the choice of lines: 95 % bootstrap interval."""
    by_chance: float
    """What exactly true confidences would score on as many lines, in the mean."""
    chance_limit: float
    """What they would stay below 95 times in 100; an error within it shows no fault of the confidences."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectCurve:
    """CER against the share of lines that a person checks, the least confident first. Arrays of equal length."""

    checked: Values
    """Share of lines checked, rising from 0 to 1. Lines of equal confidence are checked together."""
    rest_cer: Values
    """CER of the lines that nobody checked; 0 where none is left."""
    whole_cer: Values
    """CER of all lines when the checked ones are right."""
    accept_at: Values
    """Lowest confidence among those that nobody checked; infinity where none is left."""

    def first(self, target_cer: float = TARGET_CER) -> int:
        """Return the place on the curve at which the fewest lines are checked for the rest to reach a CER."""
        return int(np.flatnonzero(self.rest_cer <= target_cer)[0])

    def share(self, target_cer: float = TARGET_CER) -> float:
        """Return the smallest share to check so that the rest has at most this CER; 1 if no rest has."""
        return float(self.checked[self.first(target_cer)])

    def share_of_whole(self, target_cer: float = TARGET_CER) -> float:
        """Return the smallest share to check and put right so that all lines together have at most this CER."""
        return float(self.checked[np.flatnonzero(self.whole_cer <= target_cer)[0]])

    def at_threshold(self, accept_at: float) -> tuple[float, float]:
        """Return share checked and CER of the rest if every line below a confidence is checked."""
        place = int(np.searchsorted(self.accept_at, accept_at))
        return float(self.checked[place]), float(self.rest_cer[place])


def reliability(confidences: Sequence[float], right: Sequence[bool], *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return the lines in bins of about equally many, by rising confidence (Nguyen and O'Connor 2015).

    Most lines are nearly sure or nearly hopeless; bins of equal width would rest on a handful of lines in between.
    Lines of equal confidence share a bin, so that there may be fewer bins.
    """
    confidence, is_right = _arrays(confidences, right)
    bins = []
    for rows in _bins(confidence, num_bins):
        share = float(is_right[rows].mean())
        bins.append(
            Bin(
                lines=len(rows),
                confidence=float(confidence[rows].mean()),
                right=share,
                right_interval=wilson(share, len(rows)),
            )
        )
    return bins


def calibration_error(
    confidences: Sequence[float],
    right: Sequence[bool],
    *,
    num_bins: int = NUM_BINS,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> CalibrationError:
    """Return the expected calibration error (Guo et al. 2017, equation 3) over bins of equally many lines.

    The figure holds the luck of the draw too: in a bin of 100 lines at 0.5 the share of right ones is off by 0.04
    in the mean, however true the confidences. `by_chance` and `chance_limit` say how much that makes, by drawing
    which lines are right from the confidences themselves. Resampling adds luck once more; the interval is moved
    back by it.
    """
    confidence, is_right = _arrays(confidences, right)
    if len(confidence) == 0:
        return CalibrationError(ece=0.0, interval=(0.0, 0.0), by_chance=0.0, chance_limit=0.0)
    bins = _bins(confidence, num_bins)
    found = _ece(confidence, is_right, bins)
    rng = np.random.default_rng(seed)
    resampled, chance = [], []
    for _ in range(num_resamples):
        rows = rng.integers(0, len(confidence), len(confidence))
        again = confidence[rows]
        resampled.append(_ece(again, is_right[rows], _bins(again, num_bins)))
        chance.append(_ece(confidence, rng.random(len(confidence)) < confidence, bins))
    low, high = np.quantile(resampled, [0.025, 0.975]) - (np.mean(resampled) - found)
    return CalibrationError(
        ece=found,
        interval=(max(0.0, float(low)), min(1.0, float(high))),
        by_chance=float(np.mean(chance)),
        chance_limit=float(np.quantile(chance, 0.95)),
    )


def reject_curve(confidences: Sequence[float], edits: Sequence[int], characters: Sequence[int]) -> RejectCurve:
    """Return what checking the least confident lines is worth (El-Yaniv and Wiener 2010, with CER as the risk).

    Args:
        confidences: of the lines, in any order.
        edits: errors of each line.
        characters: reference characters of each line.
    """
    confidence = np.asarray(confidences, np.float64)
    order = np.argsort(confidence, kind="stable")
    confidence = confidence[order]
    wrong = np.concatenate([[0], np.cumsum(np.asarray(edits, np.float64)[order])])
    length = np.concatenate([[0], np.cumsum(np.asarray(characters, np.float64)[order])])
    # A cut between lines of equal confidence would be a matter of their order.
    cuts = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(confidence)) + 1, [len(confidence)]]))
    left_wrong, left_length = wrong[-1] - wrong[cuts], length[-1] - length[cuts]
    return RejectCurve(
        checked=cuts / max(1, len(confidence)) if len(confidence) else np.ones(1),
        rest_cer=left_wrong / np.maximum(1, left_length),
        whole_cer=left_wrong / max(1.0, length[-1]),
        accept_at=np.append(confidence, np.inf)[cuts],
    )


def share_interval(
    confidences: Sequence[float],
    edits: Sequence[int],
    characters: Sequence[int],
    *,
    target_cer: float = TARGET_CER,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval over lines of `RejectCurve.share`."""
    confidence, wrong, length = np.asarray(confidences), np.asarray(edits), np.asarray(characters)
    if len(confidence) == 0:
        return 1.0, 1.0
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(num_resamples):
        rows = rng.integers(0, len(confidence), len(confidence))
        again = reject_curve(confidence[rows].tolist(), wrong[rows].tolist(), length[rows].tolist())
        shares.append(again.share(target_cer))
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many lines (Wilson 1927), 0..1."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = math.sqrt(z2 * (share * (1 - share) / number + z2 / (4 * number**2))) / (1 + z2 / number)
    return max(0.0, middle - half), min(1.0, middle + half)


def _arrays(confidences: Sequence[float], right: Sequence[bool]) -> tuple[Values, Flags]:
    if len(confidences) != len(right):
        raise ValueError(f"expected as many truths as confidences ({len(confidences)}), got {len(right)}")
    return np.asarray(confidences, np.float64), np.asarray(right, np.bool_)


def _bins(confidence: Values, num_bins: int) -> list[Rows]:
    """Return the rows of each bin; none is empty."""
    if len(confidence) == 0:
        return []
    edges = np.quantile(confidence, np.arange(1, num_bins) / num_bins, method="higher")
    number = np.searchsorted(np.unique(edges), confidence, side="right")
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _ece(confidence: Values, right: Flags, bins: Sequence[Rows]) -> float:
    gaps = confidence - right
    return float(sum(abs(gaps[rows].sum()) for rows in bins) / len(confidence))
