"""A window that drifted -> when the change began, and which readings show it most.

Every row gets one number: how far it lies in the direction in which the window left the reference. Where whole
requests are taken for independent, the moment is looked for among their means: lines of one page resemble each
other, and a few pages in any order look like a change to a test that takes every line for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitoring.scores import FeatureScore
from monitoring.verdict import Example

Floats = npt.NDArray[np.float64]

NUM_EXAMPLES = 5
_FEATURES = 5
"""The most surprising ones; more would blur when it began."""
_BINS = 500
_SHUFFLES = 499
_ALPHA = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """When, and where to look."""

    since: datetime | None
    examples: tuple[Example, ...]


def find_change(
    current: pa.Table,
    contributions: Mapping[str, Floats],
    *,
    group: npt.NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Change:
    """Look for the moment of change and the strangest readings.

    Args:
        current: rows of the prediction log, oldest first; profile rows alone give no answer.
        contributions: feature -> number of each row, standardised, higher where more like what drifted.
        group: which rows hang together: numbers from 0 in the order of first rows; None where none do.
        seed: of the shuffles.
    """
    known = {"time", "request_id", "position"} <= set(current.column_names)
    if not known or not contributions or not len(current):
        return Change(since=None, examples=())
    total = np.sum(list(contributions.values()), axis=0)
    first, series = (np.arange(len(total)), total) if group is None else _means(total, group)
    at = change_point(series, seed=seed)
    return Change(
        since=None if at is None else current["time"][int(first[at])].as_py(),
        examples=_examples(current, contributions, total),
    )


def contributions(
    columns: Mapping[str, npt.NDArray[np.floating]],
    scores: Mapping[str, FeatureScore],
    shifts: Mapping[str, Floats],
    drifted: Sequence[str],
) -> dict[str, Floats]:
    """Return how far each row lies in the direction in which each drifted feature moved.

    Args:
        columns: values of all rows of the window.
        scores: what turns them into scores.
        shifts: mean scores of the window minus those of the reference.
        drifted: most surprising first.
    """
    found = {}
    for name in drifted[:_FEATURES]:
        length = float(np.linalg.norm(shifts[name]))
        if length:
            found[name] = np.dot(shifts[name] / length, scores[name](columns[name]))
    return found


def change_point(series: Floats, *, seed: int = 0) -> int | None:
    """Return the place from which on a series is higher than before, None where shuffling it does as much.

    The place is that of the largest standardised difference of means after and before (Page 1955). Values must be
    independent of each other; of fewer than 10 nothing is said.
    """
    if len(series) < 10:
        return None
    edges = np.linspace(0, len(series), min(_BINS, len(series)) + 1).astype(np.intp)
    sizes = np.diff(edges)
    bins = np.add.reduceat(series - series.mean(), edges[:-1])
    at, rise = _largest_rise(bins, sizes)
    rng = np.random.default_rng(seed)
    as_high = 0
    for _ in range(_SHUFFLES):
        order = rng.permutation(len(bins))
        as_high += _largest_rise(bins[order], sizes[order])[1] >= rise
    return int(edges[at]) if (1 + as_high) / (1 + _SHUFFLES) <= _ALPHA else None


def _means(series: Floats, group: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the first place of each group, and its mean."""
    _, first = np.unique(group, return_index=True)
    return first, np.bincount(group, weights=series) / np.bincount(group)


def _largest_rise(bins: Floats, sizes: npt.NDArray[np.intp]) -> tuple[int, float]:
    before, total = np.cumsum(sizes)[:-1], int(sizes.sum())
    # The sum of a centred series up to a place is as far below 0 as what comes after is above it.
    rises = -np.cumsum(bins)[:-1] * np.sqrt(total / (before * (total - before)))
    at = int(rises.argmax())
    return at + 1, float(rises[at])


def _examples(current: pa.Table, parts: Mapping[str, Floats], total: Floats) -> tuple[Example, ...]:
    found: dict[str, Example] = {}
    # More than are wanted are looked at: several may be of one request.
    most = np.argsort(-total, kind="stable")[: 20 * NUM_EXAMPLES]
    for at in most.tolist():
        request = current["request_id"][at].as_py()
        if request in found:
            continue
        strangest = max(parts, key=lambda name: float(parts[name][at]))
        found[request] = Example(
            request_id=request,
            position=current["position"][at].as_py(),
            time=current["time"][at].as_py(),
            feature=strangest,
        )
        if len(found) == NUM_EXAMPLES:
            break
    return tuple(found.values())
