"""Someone's own lines -> lines to begin with, and lines of a hand that arrives later.

Where a dataset has several sources, the smallest that is large enough is set aside whole: another collection is
as unlike as real data gets. Else some writers are set aside, chosen by a hash of their names.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from htr.errors import DataError
from htr.lines import Line, LinesDataset, LinesWriter

LEAST_LINES = 60
"""Fewest lines that make a hand worth noticing: some to correct, some to judge by."""
WRITER_SHARE = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What was set aside."""

    what: str
    """For people: ``source 'stanford'`` or ``12 writers``."""
    base: Path
    arriving: Path
    base_lines: int
    arriving_lines: int


def set_aside(dataset: LinesDataset, base: Path, arriving: Path) -> Arrival:
    """Write the two datasets.

    Raises:
        DataError: no source and no group of writers is large enough, or what stays lacks a split.
    """
    what, is_arriving = _choose(dataset)
    with LinesWriter(base) as kept, LinesWriter(arriving) as aside:
        for line in dataset.lines():
            (aside if is_arriving(line) else kept).add(line)
    left, gone = LinesDataset.open(base), LinesDataset.open(arriving)
    return Arrival(what=what, base=base, arriving=arriving, base_lines=len(left), arriving_lines=len(gone))


def _choose(dataset: LinesDataset) -> tuple[str, Callable[[Line], bool]]:
    rows = dataset.columns(["source", "writer", "split"]).to_pylist()
    sizes = Counter(row["source"] for row in rows)
    for source, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        left = {row["split"] for row in rows if row["source"] != source}
        if size >= LEAST_LINES and {"train", "val", "test"} <= left:
            return f"source {source!r}", partial(_from_source, source)
    writers = sorted({row["writer"] for row in rows}, key=lambda w: hashlib.sha256(w.encode()).digest())
    chosen: set[str] = set()
    wanted = max(LEAST_LINES, round(WRITER_SHARE * len(rows)))
    counts = Counter(row["writer"] for row in rows)
    for writer in writers:
        if sum(counts[w] for w in chosen) >= wanted:
            break
        chosen.add(writer)
    left = {row["split"] for row in rows if row["writer"] not in chosen}
    if len(chosen) < len(writers) and {"train", "val", "test"} <= left:
        return f"{len(chosen)} writers", lambda line: line.writer in chosen
    raise DataError(
        f"{dataset.path}: {len(rows)} lines by {len(writers)} writers are too few to set a new hand of "
        f"{LEAST_LINES} lines aside and keep train, val and test lines; give --arriving, or more lines"
    )


def _from_source(source: str, line: Line) -> bool:
    return line.source == source
