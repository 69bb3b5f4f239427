"""The test behind the alarm: scores of reference and window in, p-values out that shuffling the rows calibrates.

Were window and reference drawn from the same source, every way of parting their rows (or groups of rows) into two
sets of these sizes were as likely as the one observed. A thousand such partings are drawn, and each gives the
largest shift of any feature and the kernel distance of the embeddings: what chance does with a reference of this
size and a window of this size. Both are turned into p-values among the partings, the smaller one counts, and its
own place among the partings is the p-value of the whole: at most a share ``alpha`` of undrifted windows comes
below alpha, however the features hang together (Westfall and Young 1993, "Resampling-based multiple testing").

Shapes: N rows, reference before window; F features; S scores; B partings, the observed one first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitoring.scores import SCORES_A_FEATURE, Floats

Masks = npt.NDArray[np.bool_]

_PARTINGS_AT_ONCE = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """What the test found."""

    p_value: float
    """Of the whole comparison."""
    threshold: float
    """A p-value of a feature or of the kernel at or below it is drift; below alpha, since there are several."""
    feature_p_values: npt.NDArray[np.float64]
    """Of each feature, corrected for the number of features: shape (F,)."""
    kernel_p_value: float
    feature_shifts: npt.NDArray[np.float64]
    """Mean scores of the window minus those of the reference, shape (F, scores a feature)."""
    kernel_shift: npt.NDArray[np.float64]
    """The same for the kernel's scores, shape (S,)."""


def find_shift(features_SN: Floats, kernel_SN: Floats, masks_BN: Masks, *, alpha: float) -> Shift:
    """Compare.

    Args:
        features_SN: SCORES_A_FEATURE rows a feature, as `monitoring.scores.feature_scores` makes them.
        kernel_SN: as `monitoring.scores.kernel_scores` makes them; may have no row.
        masks_BN: as `draw_partings` makes them.
        alpha: share of undrifted windows that may be called drift.
    """
    features_BS, kernel_BS = _shifts(masks_BN, features_SN), _shifts(masks_BN, kernel_SN)
    scale_B = _scale(masks_BN)[:, None]
    surprise_BF = _surprise((features_BS**2 * scale_B).reshape(len(masks_BN), -1, SCORES_A_FEATURE).sum(axis=2))
    largest_B = surprise_BF.max(axis=1)
    kernel_B = (kernel_BS**2 * scale_B).sum(axis=1)
    each_BC = np.stack([_p_values(largest_B), _p_values(kernel_B)], axis=1)
    least_B = each_BC.min(axis=1)
    return Shift(
        p_value=float((least_B <= least_B[0]).mean()),
        threshold=_threshold(least_B, alpha),
        feature_p_values=_p_values(largest_B, surprise_BF[0]),
        kernel_p_value=float(each_BC[0, 1]),
        feature_shifts=features_BS[0].reshape(-1, SCORES_A_FEATURE),
        kernel_shift=kernel_BS[0],
    )


_SLACK = 1e-6
"""Share of itself by which a statistic may miss another and still equal it: sums round one way or another."""


def draw_partings(group_N: npt.NDArray[np.intp], num_now: int, *, alpha: float, seed: int = 0) -> Masks:
    """Return which rows are the window's, in each parting; the observed one first.

    Args:
        group_N: which rows stay together when rows are shuffled: numbers from 0, the window's groups last.
        num_now: how many groups are the window's.
        alpha: what is to be told from chance; ten partings are as rare, but a thousand are drawn at least.
        seed: of the draw.
    """
    num = max(1000, round(10 / alpha))
    num_groups = int(group_N.max()) + 1
    rng = np.random.default_rng(seed)
    is_now_BG = np.zeros((num, num_groups), np.bool_)
    is_now_BG[0, num_groups - num_now :] = True
    for parting in is_now_BG[1:]:
        parting[rng.permutation(num_groups)[:num_now]] = True
    return is_now_BG[:, group_N]


def _shifts(masks_BN: Masks, scores_SN: Floats) -> npt.NDArray[np.float64]:
    """Return the window's mean scores minus the reference's, in each parting, shape (B, S)."""
    sums = [
        masks_BN[at : at + _PARTINGS_AT_ONCE].astype(np.float32) @ scores_SN.T
        for at in range(0, len(masks_BN), _PARTINGS_AT_ONCE)
    ]
    # Scores are centred: what the window has too much, the reference has too little.
    return np.concatenate(sums).astype(np.float64) * _one_over(masks_BN)[:, None]


def _one_over(masks_BN: Masks) -> npt.NDArray[np.float64]:
    now_B = masks_BN.sum(axis=1)
    return np.asarray(1 / now_B + 1 / (masks_BN.shape[1] - now_B))


def _scale(masks_BN: Masks) -> npt.NDArray[np.float64]:
    """Return what makes a squared difference of means one of expectation 1 where rows are independent."""
    return 1 / _one_over(masks_BN)


def _surprise(squares_BF: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return squares as if they were normal (Wilson and Hilferty 1931), so that the largest can be sought.

    A feature whose values are few has fewer directions than SCORES_A_FEATURE, and smaller squares: it alarms the
    more rarely for it, never the more often.
    """
    spread = 2 / (9 * SCORES_A_FEATURE)
    return np.asarray(((squares_BF / SCORES_A_FEATURE) ** (1 / 3) - (1 - spread)) / spread**0.5)


def _p_values(
    statistic_B: npt.NDArray[np.float64], asked: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Return for each value asked for, by default each parting's own, the share of partings that come as high."""
    asked = statistic_B if asked is None else asked
    lower = np.searchsorted(np.sort(statistic_B), asked - _SLACK * np.abs(asked), side="left")
    return np.asarray(1 - lower / len(statistic_B))


def _threshold(least_B: npt.NDArray[np.float64], alpha: float) -> float:
    """Return the largest p-value that at most a share alpha of the partings comes down to; 0 if there is none."""
    values, counts = np.unique(least_B, return_counts=True)
    allowed = values[np.cumsum(counts) <= alpha * len(least_B) + 1e-9]
    return float(allowed[-1]) if len(allowed) else 0.0
