"""Measured lines -> writers, pages and texts in two splits: what was learnt by heart would be tested.

``recent`` is exempt, and so are corrected lines: both are there to ask about hands that training has met.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from htr.audit.measures import Measured
from htr.lines import CORRECTIONS

K = TypeVar("K")
APART = ("train", "val", "test")
"""Splits that must not share a hand."""


def is_judged(*, split: str, source: str) -> bool:
    """Tell whether a line's writer and page must be in its split alone."""
    return split in APART and source != CORRECTIONS


def writers_apart(lines: Sequence[Measured]) -> Iterator[tuple[list[Measured], str]]:
    """Yield each writer who is in two splits, with all lines of that hand."""
    for writer, group in _in_two_splits(lines, lambda line: line.writer):
        yield group, f"writer {writer!r}"


def pages_apart(lines: Sequence[Measured]) -> Iterator[tuple[list[Measured], str]]:
    """Yield each page that is in two splits, with all of its lines.

    A page is known by its name within its source: many collections have a page 1.
    """
    for key, group in _in_two_splits(lines, lambda line: (line.source, line.page) if line.page else None):
        yield group, f"page {key[1]!r}" + (f" of {key[0]!r}" if key[0] else "")


def texts_apart(lines: Sequence[Measured]) -> Iterator[tuple[list[Measured], str]]:
    """Yield each text that one writer wrote in two splits."""
    for key, group in _in_two_splits(lines, lambda line: (line.writer, line.text) if line.writer else None):
        yield group, f"writer {key[0]!r} wrote {key[1]!r}"


def split_names(lines: Iterable[Measured]) -> tuple[str, ...]:
    """Return the splits that some lines are in, sorted, each once."""
    return tuple(sorted({line.split for line in lines}))


def _in_two_splits(
    lines: Iterable[Measured], key: Callable[[Measured], K | None]
) -> Iterator[tuple[K, list[Measured]]]:
    groups: dict[K, list[Measured]] = {}
    for line in lines:
        named = key(line)
        if named and is_judged(split=line.split, source=line.source):
            groups.setdefault(named, []).append(line)
    for named, group in groups.items():
        if len(split_names(group)) > 1:
            yield named, group
