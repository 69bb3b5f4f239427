"""A ledger of lines -> which of them show the same: pixel by pixel, or saved, scaled, dimmed or cut anew.

Near copies are found in two steps. First the hashes: lines whose ink has about the same shape and whose hashes
differ in at most MAX_DISTANCE of 512 bits. Some pairs are as close by chance (short words of one hand), so their
images are laid upon each other: they are copies where the ink correlates everywhere. Decision 21 has the figures.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from htr.audit.close_pairs import close_pairs
from htr.audit.fingerprints import ink_box
from htr.audit.ledger import Ledger, Numbers, groups_of
from htr.audit.likeness import MIN_CORRELATION, MIN_CORRELATION_OF_OTHERS, Ink, likeness
from htr.image import Grey

_BOXES_HELD = 64

Greys = Callable[[Numbers], AbstractContextManager[Mapping[int, Grey]]]
"""Opens the decoded images of some rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """Lines that show the same."""

    rows: tuple[int, ...]
    """Ascending."""
    correlation: float
    """1 where all are the same pixel by pixel; else that of the least certain pair that joins them."""


def exact_copies(ledger: Ledger) -> list[Copies]:
    """Return the groups of lines whose images have the same pixels."""
    return [Copies(rows=tuple(rows.tolist()), correlation=1.0) for rows in groups_of(ledger.pixels)]


def near_copies(
    ledger: Ledger, greys: Greys, on_pair: Callable[[int, int], None] = lambda *_: None
) -> list[Copies]:
    """Return the groups of lines whose images show the same without having the same pixels.

    A group may hold exact copies of its lines as well.

    Args:
        ledger: of all lines.
        greys: opens the decoded images of some rows.
        on_pair: called with pairs laid upon each other and pairs in all.
    """
    twins = {int(rows[0]): rows for rows in groups_of(ledger.pixels)}
    firsts = ledger.aspect > 0  # of exact copies only the first is compared
    for rows in twins.values():
        firsts[rows[1:]] = False
    pairs = close_pairs(ledger, np.flatnonzero(firsts))
    found = _Groups()
    with greys(np.union1d(pairs.one, pairs.two)) as images:

        @lru_cache(_BOXES_HELD)
        def box(row: int) -> Ink | None:
            return ink_box(images[row])

        for done, (one, two) in enumerate(zip(pairs.one.tolist(), pairs.two.tolist(), strict=True), start=1):
            on_pair(done, len(pairs.one))
            if found.are_joined(one, two):  # or a thousand copies of one line took eight thousand proofs
                continue
            first, second = box(one), box(two)
            if first is not None and second is not None:
                fit = likeness(first, second)
                if fit >= _wanted(ledger, one, two):
                    found.join(one, two, fit)
    return [
        Copies(
            rows=tuple(sorted(twin for row in rows for twin in twins.get(row, np.array([row])).tolist())),
            correlation=certainty,
        )
        for rows, certainty in found.groups()
    ]


def _wanted(ledger: Ledger, one: int, two: int) -> float:
    return MIN_CORRELATION if ledger.text[one] == ledger.text[two] else MIN_CORRELATION_OF_OTHERS


class _Groups:
    """Rows that pairs join, each group with its least certain pair."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._pairs: list[tuple[int, float]] = []

    def are_joined(self, one: int, two: int) -> bool:
        """Tell whether two rows are in one group."""
        return one in self._parent and two in self._parent and self._root(one) == self._root(two)

    def join(self, one: int, two: int, certainty: float) -> None:
        """Put two rows, and all that are joined with them, into one group."""
        self._parent[self._root(two)] = self._root(one)
        self._pairs.append((one, certainty))

    def groups(self) -> list[tuple[list[int], float]]:
        """Return the rows of each group, ascending, with its certainty."""
        rows: dict[int, list[int]] = {}
        for row in sorted(self._parent):
            rows.setdefault(self._root(row), []).append(row)
        least: dict[int, float] = {}
        for one, certainty in self._pairs:
            key = self._root(one)
            least[key] = min(least.get(key, 1.0), certainty)
        return [(group, least[key]) for key, group in rows.items()]

    def _root(self, row: int) -> int:
        while self._parent.setdefault(row, row) != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row
