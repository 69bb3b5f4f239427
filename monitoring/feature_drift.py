"""What the test found -> how each feature compares, in numbers for people; and the embedding among them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from htr.profile import EMBEDDING
from monitoring.shift_test import Shift
from monitoring.verdict import EMBEDDING_NAME, FeatureDrift

Columns = Mapping[str, npt.NDArray[np.floating]]


def tell_features(
    names: Sequence[str], shift: Shift, before: Columns, now: Columns, tested: Columns, num_before: int
) -> tuple[FeatureDrift, ...]:
    """Return how features compare.

    Args:
        names: the features, in the order in which they were tested.
        shift: what the test found.
        before: columns of the whole reference.
        now: columns of the whole window.
        tested: columns of the rows that were tested, the reference's first.
        num_before: how many of these are the reference's.
    """
    return tuple(
        FeatureDrift(
            name=name,
            p_value=float(p_value),
            threshold=shift.threshold,
            drifted=bool(p_value <= shift.threshold),
            shift=_superiority(tested[name], num_before),
            reference_median=float(np.median(before[name])),
            current_median=float(np.median(now[name])),
        )
        for name, p_value in zip(names, shift.feature_p_values, strict=True)
    )


def tell_embedding(embedding_ND: npt.NDArray[np.float64], shift: Shift, num_before: int) -> FeatureDrift:
    """Return how the embeddings compare, by their distances from the reference's middle.

    Args:
        embedding_ND: whitened embeddings of the rows that were tested, the reference's first.
        shift: what the test found.
        num_before: how many of the rows are the reference's.
    """
    middle = embedding_ND[:num_before].mean(axis=0)
    distance = np.linalg.norm(embedding_ND - middle, axis=1)
    return FeatureDrift(
        name=EMBEDDING_NAME,
        p_value=shift.kernel_p_value,
        threshold=shift.threshold,
        drifted=shift.kernel_p_value <= shift.threshold,
        shift=_superiority(distance, num_before),
        reference_median=float(np.median(distance[:num_before])),
        current_median=float(np.median(distance[num_before:])),
    )


def _superiority(values: npt.NDArray[np.floating], num_before: int) -> float:
    """Return P(now > before) - P(now < before), by ranks (Cliff's delta)."""
    before, now = np.sort(values[:num_before]), values[num_before:]
    lower, upper = np.searchsorted(before, now, side="left"), np.searchsorted(before, now, side="right")
    return float((lower + upper).mean() / num_before - 1)


def along_embedding(before: Columns, now: Columns) -> npt.NDArray[np.float64]:
    """Return how far the window's embeddings lie towards where they moved, standardised."""
    rows = [np.stack([columns[name] for name in EMBEDDING], axis=1) for columns in (before, now)]
    middle, spread = rows[0].mean(axis=0), rows[0].std(axis=0)
    direction = np.where(spread > 0, (rows[1].mean(axis=0) - middle) / np.where(spread > 0, spread, 1) ** 2, 0)
    along = (rows[1] - middle) @ direction
    return np.asarray(along / (along.std() or 1.0), np.float64)
