"""Columns of profile rows -> scores whose sums over a window say how far it is from the reference.

Scores are centred, and orthonormal within a feature, over reference and window together; a permutation test may
therefore shuffle the rows and needs nothing but sums.

Shapes: N rows, reference before window; F features; S scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SCORES_A_FEATURE = 2
"""Where a row stands among all (location), and how far from the middle (spread)."""
_WAVES = 32
"""Random frequencies a bandwidth of the kernel."""
_BANDWIDTHS = (0.5, 1.0, 2.0)
"""Over the square root of the number of dimensions, which is about the distance of two whitened rows over 1.4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureScore:
    """Turns values of one feature into scores."""

    sorted_values: npt.NDArray[np.float64]
    """Of reference and window."""
    centre: npt.NDArray[np.float64]
    whitening: npt.NDArray[np.float64]
    """Shape (2, 2); a direction in which nothing varies is zero."""

    @classmethod
    def fit(cls, values_N: npt.NDArray[np.float64]) -> "FeatureScore":
        """Learn from reference and window together."""
        ordered = np.sort(values_N)
        plain = _location_and_spread(ordered, values_N)
        centre = plain.mean(axis=1, keepdims=True)
        covariance = (plain - centre) @ (plain - centre).T / len(values_N)
        return cls(sorted_values=ordered, centre=centre, whitening=_inverse_root(covariance))

    def __call__(self, values_N: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the scores of values, shape (2, N)."""
        return self.whitening @ (_location_and_spread(self.sorted_values, values_N) - self.centre)


def feature_scores(columns: Mapping[str, npt.NDArray[np.float64]]) -> tuple[dict[str, FeatureScore], Floats]:
    """Fit the scores of every feature; return them and the scores of all rows, shape (2 F, N)."""
    fitted = {name: FeatureScore.fit(values) for name, values in columns.items()}
    found = [fitted[name](values) for name, values in columns.items()]
    return fitted, np.concatenate(found).astype(np.float32)


def kernel_scores(white_ND: npt.NDArray[np.float64], *, seed: int = 0) -> Floats:
    """Return random Fourier features of whitened rows, centred, shape (S, N).

    The squared length of their mean difference is the maximum mean discrepancy (Gretton et al. 2012, "A kernel
    two-sample test") under a mixture of Gaussian kernels, as Rahimi and Recht 2007 approximate it.
    """
    dimensions = white_ND.shape[1]
    rng = np.random.default_rng(seed)
    waves = [
        rng.normal(size=(dimensions, _WAVES)) / (bandwidth * np.sqrt(dimensions)) for bandwidth in _BANDWIDTHS
    ]
    angles_NS = white_ND @ np.concatenate(waves, axis=1)
    scores_SN = np.concatenate([np.cos(angles_NS), np.sin(angles_NS)], axis=1).T
    return np.asarray(scores_SN - scores_SN.mean(axis=1, keepdims=True), np.float32)


def whitened(rows_ND: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return rows of mean 0 and identity covariance; directions in which nothing varies become 0."""
    centred = rows_ND - rows_ND.mean(axis=0)
    return np.asarray(centred @ _inverse_root(centred.T @ centred / len(rows_ND)))


def stacked(columns: Mapping[str, npt.NDArray[np.float64]], names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return some columns as rows, shape (N, len(names))."""
    return np.stack([columns[name] for name in names], axis=1)


def _location_and_spread(
    ordered: npt.NDArray[np.float64], values: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    low, high = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    place = (low + high) / (2 * len(ordered)) - 0.5  # equal values share the middle of their ranks
    return np.stack([place, place**2])


def _inverse_root(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-9 * max(1.0, float(values.max(initial=0)))
    roots = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
    return np.asarray((vectors * roots) @ vectors.T)
