"""What is searched: names of training settings and their ranges; and points spread evenly over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from htr.errors import SettingsError
from htr.settings import chooses_shape, flat, nested, training_config


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """A number between two others, ends included."""

    name: str
    low: float
    high: float
    log: bool = False
    """Whether ratios count rather than differences."""
    step: int = 0
    """Of whole numbers, from ``low`` on; 0 for numbers that need not be whole."""

    def at(self, share: float) -> float | int:
        """Return the value at a share of the range, 0..1."""
        if self.step:
            count = round((self.high - self.low) / self.step) + 1
            return int(self.low) + self.step * min(count - 1, math.floor(share * count))
        value = self.low + share * (self.high - self.low)
        if self.log:
            value = self.low * math.exp(share * math.log(self.high / self.low))
        return min(self.high, max(self.low, value))  # rounding must not lead outside

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of the range."""
        return bool(self.low <= value <= self.high) and not (self.step and (value - self.low) % self.step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of a few values."""

    name: str
    values: tuple[float, ...]

    def at(self, share: float) -> float:
        """Return the value at a share of the list, 0..1."""
        return self.values[min(len(self.values) - 1, math.floor(share * len(self.values)))]

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        return value in self.values


Dimension = Range | Choice

SPACE: tuple[Dimension, ...] = (
    Range(name="learning_rate", low=3e-4, high=2e-2, log=True),
    Choice(name="batch_size", values=(4, 8, 16, 32)),
    Range(name="augmentation", low=0.0, high=1.5),
    Range(name="shortcut_weight", low=0.05, high=2.0, log=True),  # never 0: without it learning starts far later
    Range(name="model.width", low=64, high=256, step=32),
    Range(name="model.layers", low=1, high=3, step=1),
    Range(name="model.dropout", low=0.0, high=0.4),
)
"""Ranges around what is known to work; docs/search.md says why."""


def space_for(
    fixed: Mapping[str, Any], *, has_base: bool, space: Sequence[Dimension] = SPACE
) -> tuple[Dimension, ...]:
    """Return what is left to search.

    Args:
        fixed: nested settings that every trial shares; what they name is not searched.
        space: all that could be searched.
        has_base: whether the network's shape comes from a base bundle, so that it cannot be searched.

    Raises:
        SettingsError: nothing is left.
    """
    named = set(flat(fixed))
    left = tuple(
        one for one in space if one.name not in named and not (has_base and chooses_shape(nested({one.name: 0})))
    )
    if not left:
        raise SettingsError("nothing left to search: the settings given name everything; leave some of them out")
    return left


def points(space: Sequence[Dimension], count: int, *, seed: int) -> list[dict[str, Any]]:
    """Return values by dotted name: the defaults first, then a scrambled Sobol sequence (Owen 1998).

    The sequence covers the space evenly however long it is, and a longer one begins with the shorter one, so that
    a search can be continued.

    Args:
        space: what to choose.
        count: how many points.
        seed: decides everything.
    """
    if count < 1:
        return []
    from scipy.stats.qmc import Sobol

    log2 = max(1, math.ceil(math.log2(count)))
    shares = Sobol(len(space), scramble=True, rng=seed).random_base2(log2)[: count - 1]
    spread = [{d.name: d.at(float(share)) for d, share in zip(space, row, strict=True)} for row in shares]
    return [_defaults(space), *spread]


def as_plain(space: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Return a space as plain values, to tell one from another."""
    return [asdict(one) for one in space]


def _defaults(space: Sequence[Dimension]) -> dict[str, Any]:
    """Return the defaults; the middle of a range that does not hold its default."""
    defaults = flat(asdict(training_config({})))
    return {d.name: defaults[d.name] if d.holds(defaults[d.name]) else d.at(0.5) for d in space}
