"""Someone's own lines -> lines to begin with, and lines of a hand that arrives later.

Where a dataset has several sources, the smallest that is large enough is set aside whole: another collection is
as unlike as real data gets. Else some writers are set aside, chosen by a hash of their names; where
writers are not known, some pages; where pages are not, some lines.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from htr.errors import DataError
from htr.lines import Line, LinesDataset, LinesWriter

LEAST_LINES = 120
"""Fewest lines that make a hand: drift is judged on 100 at least, and retraining wants 50 corrected ones."""
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


def check_size(arriving: LinesDataset) -> None:
    """Refuse a new hand that is too small for the loop, before anything is made.

    Raises:
        DataError: fewer lines than LEAST_LINES.
    """
    if len(arriving) < LEAST_LINES:
        raise DataError(
            f"{arriving.path}: {len(arriving)} lines are too few for a hand that arrives: drift is judged on 100 "
            f"at least, and some must be left to correct; give {LEAST_LINES} or more"
        )


def set_aside(dataset: LinesDataset, base: Path, arriving: Path, *, source: str = "") -> Arrival:
    """Write the two datasets.

    Args:
        dataset: where the lines come from.
        base: folder for those to begin with.
        arriving: folder for those that arrive later.
        source: what arrives; "" chooses as the top of this file says.

    Raises:
        DataError: no source and no group of writers is large enough, or what stays lacks a split.
    """
    what, is_arriving = _named(dataset, source) if source else _choose(dataset)
    with LinesWriter(base) as kept, LinesWriter(arriving) as aside:
        for line in dataset.lines():
            (aside if is_arriving(line) else kept).add(line)
    left, gone = LinesDataset.open(base), LinesDataset.open(arriving)
    return Arrival(what=what, base=base, arriving=arriving, base_lines=len(left), arriving_lines=len(gone))


def _named(dataset: LinesDataset, source: str) -> tuple[str, Callable[[Line], bool]]:
    rows = dataset.columns(["source", "split"]).to_pylist()
    sizes = Counter(row["source"] for row in rows)
    left = {row["split"] for row in rows if row["source"] != source}
    if sizes[source] < LEAST_LINES or not {"train", "val", "test"} <= left:
        raise DataError(
            f"{dataset.path}: source {source!r} has {sizes[source]} lines, and the others have the splits "
            f"{sorted(left)}; name one of at least {LEAST_LINES} lines beside which train, val and test lines are "
            f"left, of {sorted(sizes)}"
        )
    return f"source {source!r}", partial(_from_source, source)


def _choose(dataset: LinesDataset) -> tuple[str, Callable[[Line], bool]]:
    rows = dataset.columns(["id", "source", "writer", "page", "split"]).to_pylist()
    sizes = Counter(row["source"] for row in rows)
    for source, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        left = {row["split"] for row in rows if row["source"] != source}
        if size >= LEAST_LINES and {"train", "val", "test"} <= left:
            return f"source {source!r}", partial(_from_source, source)
    counts = Counter(_hand(row) for row in rows)
    wanted, gathered = max(LEAST_LINES, round(WRITER_SHARE * len(rows))), 0
    chosen: set[str] = set()
    for hand in sorted(counts, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if gathered >= wanted:
            break
        chosen.add(hand)
        gathered += counts[hand]
    left = {row["split"] for row in rows if _hand(row) not in chosen}
    if gathered >= LEAST_LINES and {"train", "val", "test"} <= left:
        return f"{len(chosen)} writers, {gathered} lines", partial(_by_hand, chosen)
    raise DataError(
        f"{dataset.path}: {len(rows)} lines by {len(counts)} writers are too few to set a new hand of "
        f"{LEAST_LINES} lines aside and keep train, val and test lines; give --arriving, or more lines"
    )


def _from_source(source: str, line: Line) -> bool:
    return line.source == source


def _hand(row: Mapping[str, str]) -> str:
    return row["writer"] or row["page"] or row["id"]


def _by_hand(chosen: set[str], line: Line) -> bool:
    return (line.writer or line.page or line.id) in chosen
