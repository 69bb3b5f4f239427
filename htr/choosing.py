"""Which lines a person shall look at next: confidences and small vectors in, places in an order out.

A line is chosen for one of two reasons, which never mix:

    uncertain   Farthest-first among the unsure. The unsure lines are kept, FILTER times as many as are wanted (the
                pre-filter of Zhdanov 2019, "Diverse mini-batch active learning"); of these, k centres are picked
                greedily, each farthest from all that were picked before (Gonzalez 1985; for learning: Sener and
                Savarese 2018, "Active learning for convolutional neural networks: a core-set approach"). Twenty
                lines under one blot teach no more than one.
    control     A line that its name alone drew, whatever was read on it. Only such lines may judge a model
                (docs/decisions/0013), and so no uncertain line is ever taken from among them.

Shapes: n lines; each has d numbers that say how it looks or reads.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FILTER = 4
"""Of so many unsure lines one is picked: more of them are more unlike, and surer."""
Why = Literal["uncertain", "control"]
Vectors = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Choice:
    """One line to look at."""

    index: int
    """Its place among the lines that were given."""
    why: Why


def choose(
    confidences: Sequence[float],
    vectors: npt.ArrayLike,
    *,
    count: int,
    control_share: float,
    seed: int,
    names: Sequence[str] | None = None,
) -> list[Choice]:
    """Choose lines to look at: the unsure ones, unlike each other, with controls spread among them.

    The same arguments choose the same lines. Under one seed and share, a name is a control or is none for good,
    whatever other lines there are, what was read on them and how many are wanted; so the controls stay a fair
    sample of all lines over many rounds, each of which may leave out what was looked at before.

    Args:
        confidences: probability that the line is right, 0..1, one a line.
        vectors: shape (n, d); each column is brought to one scale here. d may be 0: then only confidence counts.
        count: how many to choose; all lines where there are fewer. Where the controls run out, more unsure lines
            take their places, and the other way round.
        control_share: share of controls, 0..1.
        seed: draws the controls and their places.
        names: one a line, unique, the same in every round; by default its place.

    Raises:
        ValueError: lengths differ, a number is out of its range or none, or a name stands for two lines.
    """
    sure = np.asarray(confidences, np.float64).reshape(-1)
    points = np.asarray(vectors, np.float64)
    names = [str(place) for place in range(len(sure))] if names is None else names
    _check(sure, points, names, count, control_share)
    draws = np.array([_draw(seed, name) for name in names])
    drawn = draws < control_share
    group, rest = np.flatnonzero(drawn), np.flatnonzero(~drawn)
    count = min(count, len(sure))
    num_controls = max(count - len(rest), min(len(group), round(count * control_share)))
    controls = group[np.argsort(draws[group], kind="stable")][:num_controls]
    unsure = rest[_unsure_and_diverse(sure[rest], _scaled(points)[rest], count - num_controls)]
    places = set(np.random.default_rng(seed).choice(count, num_controls, replace=False).tolist())
    next_control, next_unsure = iter(controls.tolist()), iter(unsure.tolist())
    return [
        Choice(next(next_control), "control") if place in places else Choice(next(next_unsure), "uncertain")
        for place in range(count)
    ]


def is_control(name: str, *, control_share: float, seed: int) -> bool:
    """Return whether a line of some name is a control, as `choose` has it under that share and seed."""
    return _draw(seed, name) < control_share


def _unsure_and_diverse(sure: Vectors, points: Vectors, count: int) -> Rows:
    """Return places of the most unsure lines that lie far from each other, the most unsure one first."""
    kept = np.argsort(sure, kind="stable")[: FILTER * count]  # stable: of equals the first
    points = points[kept]
    nearest = np.full(len(kept), np.inf)
    picked: list[int] = []
    for _ in range(count):
        place = int(nearest.argmax())  # of equals the first, which is the most unsure
        picked.append(place)
        nearest = np.minimum(nearest, ((points - points[place]) ** 2).sum(axis=1))
        nearest[picked] = -1.0
    return np.asarray(kept[picked], np.intp)


def _scaled(points: Vectors) -> Vectors:
    """Return the columns with mean 0 and standard deviation 1; those that say nothing are 0."""
    centred = points - points.mean(axis=0) if len(points) else points
    spread = centred.std(axis=0) if len(points) else np.ones(points.shape[1])
    return np.asarray(centred / np.where(spread > 1e-12, spread, np.inf), np.float64)


def _draw(seed: int, name: str) -> float:
    """Return a number in 0..1 that depends on nothing but the seed and the name."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _check(sure: Vectors, points: Vectors, names: Sequence[str], count: int, control_share: float) -> None:
    if points.ndim != 2 or not len(sure) == len(points) == len(names):
        raise ValueError(
            f"expected a confidence, a vector and a name for each line, got {len(sure)}, an array of shape "
            f"{points.shape} and {len(names)}"
        )
    if not np.isfinite(points).all():
        raise ValueError("vectors: expected finite numbers only")
    if not ((sure >= 0) & (sure <= 1)).all():  # false for NaN, too
        raise ValueError("confidences must be within 0..1")
    if count < 0 or not 0.0 <= control_share <= 1.0:
        raise ValueError(f"expected count >= 0 and control_share within 0..1, got {count} and {control_share}")
    if len(set(names)) != len(names):
        raise ValueError("names: two lines have the same")
