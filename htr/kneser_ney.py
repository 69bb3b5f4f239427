"""Texts in, Kneser-Ney counts of their character n-grams out, level by level.

Symbols: 0 is the edge of a line, before its first and after its last character; character number i is i + 1.

An n-gram of k symbols is a node at level k of a trie; its parent, one level up, lacks its last symbol (the
history), and its suffix, one level up as well, lacks its first. Nodes lie sorted by (parent, last symbol).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

EDGE = 0
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where a text is too short to estimate them; any values within (0, 1), (0, 2), (0, 3) leave a distribution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """All n-grams of one length."""

    parents: Ints
    """Number of each node's parent in the level above; 0, the root, at level 1."""
    symbols: Ints
    """Last symbol of each node."""
    counts: Ints
    """Kneser-Ney counts: occurrences at the highest level and after a line's edge, elsewhere the number of
    different symbols that come before."""
    discounts: tuple[float, float, float]
    """What is taken off a count of 1, of 2, and of 3 or more."""

    def __len__(self) -> int:
        return len(self.symbols)


def count_levels(texts: Iterable[str], symbols: Mapping[str, int], order: int, *, cut: int = 1) -> list[Level]:
    """Count the n-grams of 1 to ``order`` symbols.

    Args:
        texts: one line each.
        symbols: character -> symbol; it must hold every character of the texts.
        order: symbols of the longest n-gram.
        cut: n-grams of three symbols and more that occur less often are left out, after everything is counted.
    """
    rows = [[EDGE, *(symbols[c] for c in text), EDGE] for text in texts]
    stream = np.array([s for row in rows for s in row], np.int64)
    ends = np.repeat(np.cumsum([len(row) for row in rows], dtype=np.int64), [len(row) for row in rows])
    # A line's first edge is what comes before, never what is read: it has no count of its own.
    opens = np.append(True, ends[1:] != ends[:-1])[: len(stream)]
    base = max(symbols.values(), default=EDGE) + 1
    levels: list[Level] = []
    starts = np.arange(len(stream))  # where in the stream each n-gram begins
    nodes = np.zeros(len(stream), np.int64)  # the number of its history's node
    raw: list[Ints] = []
    keys: list[Ints] = []
    for length in range(1, order + 1):
        inside = starts + length <= ends[starts]
        starts, nodes = starts[inside], nodes[inside]
        unique, nodes = np.unique(nodes * base + stream[starts + length - 1], return_inverse=True)
        keys.append(unique)
        raw.append(np.bincount(nodes if length > 1 else nodes[~opens], minlength=len(unique)))
    suffixes = suffix_links([k // base for k in keys], [k % base for k in keys], base)
    after_edge = keys[0] % base == EDGE
    for at, key in enumerate(keys):
        parents = key // base
        counts = raw[at]
        if at + 1 < order:
            before = np.bincount(suffixes[at + 1], minlength=len(key))
            counts = np.where(after_edge & (at > 0), counts, before)
        levels.append(Level(parents=parents, symbols=key % base, counts=counts, discounts=_discounts(counts)))
        if at + 1 < order:
            after_edge = after_edge[keys[at + 1] // base]
    return _without_rare(levels, raw, cut) if cut > 1 else levels


def suffix_links(parents: list[Ints], symbols: list[Ints], base: int) -> list[Ints]:
    """Return for every node of every level the number of its suffix in the level above (level 1: the root).

    Args:
        parents: of the nodes, a level each; nodes sorted by (parent, symbol), and every suffix is there.
        symbols: last symbol of each node.
        base: larger than any symbol.
    """
    links = [np.zeros(len(symbols[0]), np.int64)]
    for at in range(1, len(symbols)):
        key = symbols[at] if at == 1 else links[-1][parents[at]] * base + symbols[at]
        links.append(np.searchsorted(parents[at - 1] * base + symbols[at - 1], key))
    return links


def _discounts(counts: Ints) -> tuple[float, float, float]:
    """Estimate the three discounts from counts of counts (Chen and Goodman 1999, equation 26)."""
    one, two, three, four = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    if not (one and two and three):
        return FALLBACK_DISCOUNTS
    y = one / (one + 2 * two)
    found = (1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three)
    return found if all(0 < d < n for n, d in enumerate(found, start=1)) else FALLBACK_DISCOUNTS


def _without_rare(levels: list[Level], raw: list[Ints], cut: int) -> list[Level]:
    """Drop rare n-grams. History and suffix of what stays occur at least as often, so they stay too."""
    kept: list[Level] = []
    numbers = np.zeros(1, np.int64)
    for at, (level, occurs) in enumerate(zip(levels, raw, strict=True)):
        stays = occurs >= cut if at >= 2 else np.ones(len(level), bool)
        kept.append(
            Level(
                parents=numbers[level.parents[stays]],
                symbols=level.symbols[stays],
                counts=level.counts[stays],
                discounts=level.discounts,
            )
        )
        numbers = np.cumsum(stays) - 1
    return kept
