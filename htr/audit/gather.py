"""Row numbers of lines in question -> what people are to read of them, by one pass over the dataset's columns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from htr.lines import LinesDataset

COLUMNS = ("id", "text", "writer", "page", "source", "split")
MAX_TEXTS = 5
"""Different texts of a group that are kept."""

Said = dict[str, str]
"""The columns of one line; a missing value reads as ""."""


@dataclass(slots=True)
class Group:
    """Some lines that a finding is about."""

    ids: list[str] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)
    texts: dict[str, None] = field(default_factory=dict)
    """MAX_TEXTS of the different ones, in order."""
    first: Said = field(default_factory=dict)
    """What the first line says."""

    def add(self, said: Said, row: int) -> None:
        """Add a line to the group."""
        self.ids.append(said["id"] or f"row {row}")
        self.splits.add(said["split"])
        if len(self.texts) < MAX_TEXTS:
            self.texts[said["text"]] = None
        if not self.first:
            self.first = said


def gathered(dataset: LinesDataset, groups: Sequence[npt.ArrayLike]) -> list[Group]:
    """Return what is said of groups of rows, in their order.

    Args:
        dataset: where the lines are.
        groups: of row numbers; no row is in two of them.
    """
    found = [Group() for _ in groups]
    if not found:
        return found
    arrays = [np.asarray(rows, np.int64) for rows in groups]
    group_of = np.full(1 + max(int(rows.max()) for rows in arrays), -1, np.int32)
    for number, rows in enumerate(arrays):
        group_of[rows] = number
    begin = 0
    for batch in dataset.batches(COLUMNS):
        for at in np.flatnonzero(group_of[begin : begin + batch.num_rows] >= 0).tolist():
            found[group_of[begin + at]].add(said_of(batch, at), begin + at)
        begin += batch.num_rows
    return found


def said_of(batch: pa.RecordBatch, at: int) -> Said:
    """Return one row of a batch."""
    return {name: batch.column(name)[at].as_py() or "" for name in batch.schema.names}


def rows_of_ids(dataset: LinesDataset, ids: Collection[str]) -> dict[str, int]:
    """Return the row numbers of some ids; of a name that several have, the last."""
    wanted, begin = pa.array(sorted(ids), pa.string()), 0
    found: dict[str, int] = {}
    for batch in dataset.batches(["id"]):
        column = batch.column("id").cast(pa.string())
        for at in np.flatnonzero(pc.is_in(column, value_set=wanted)).tolist():
            found[column[at].as_py()] = begin + at
        begin += batch.num_rows
    return found


def rows_said(dataset: LinesDataset, rows: Collection[int], columns: Sequence[str] = COLUMNS) -> dict[int, Said]:
    """Return what some rows say, by their numbers."""
    wanted = np.sort(np.fromiter(rows, np.int64, len(rows)))
    found: dict[int, Said] = {}
    begin = 0
    for batch in dataset.batches(columns):
        first, end = np.searchsorted(wanted, (begin, begin + batch.num_rows))
        found |= {int(row): said_of(batch, int(row) - begin) for row in wanted[first:end]}
        begin += batch.num_rows
    return found
