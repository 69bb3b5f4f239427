"""Rows of any layout in, a lines dataset out: each row is kept or quarantined with a reason, and nothing else."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from htr.errors import DataError
from htr.lines import DatasetInfo, Line, LinesDataset, LinesWriter

R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


class RowRejected(Exception):  # noqa: N818 - an outcome of one row, never an error of the program
    """A row cannot become a line.

    Attributes:
        reason: a short machine-readable word; rows are counted by it.
        detail: the particulars, for the quarantine list.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def write_rows(
    rows: Iterable[R],
    out: Path,
    *,
    origin: Path,
    total: int,
    name_of: Callable[[R], str],
    to_line: Callable[[R], Line],
    progress: Progress | None = None,
    lineage: Callable[[], Mapping[str, Any]] = dict,
) -> DatasetInfo:
    """Write the lines dataset of some rows; lines kept and rows quarantined add up to the rows.

    Args:
        rows: in the order in which they are to be stored.
        out: the folder to create.
        origin: what the rows came from, for messages.
        total: how many rows there are.
        name_of: what the quarantine list calls a row.
        to_line: turns a row into a line, or raises RowRejected.
        progress: called after every row.
        lineage: asked after the last row what ``dataset.json`` is to say of where the lines came from.

    Raises:
        DataError: no row was kept; then nothing is written.
        OutputError: the folder is there already or cannot be written.
    """
    refused: Counter[str] = Counter()
    with LinesWriter(out) as dataset:
        for done, row in enumerate(rows, start=1):
            try:
                line = to_line(row)
                _check_unicode(line)
                _check_new(line, dataset)
                dataset.add(line)
            except RowRejected as refusal:
                refused[refusal.reason] += 1
                dataset.quarantine(name_of(row), refusal.reason, refusal.detail)
            if progress:
                progress(done, total)
        if not len(dataset):
            raise DataError(
                f"{origin}: none of its {total} rows can be used ({_counted(refused)}); {_remedy(refused)}"
            )
        dataset.record(**lineage())
    return LinesDataset.open(out).info


def _check_unicode(line: Line) -> None:
    """Refuse halves of UTF-16 pairs, which escapes in JSON and file names on disk may hold, and no file can."""
    for name in ("id", "text", "writer", "page", "language", "source"):
        value: str = getattr(line, name)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RowRejected("not_unicode", f"{name} {value!r}; rename or retype it") from error


def _check_new(line: Line, dataset: LinesWriter) -> None:
    if dataset.holds(line.id):
        raise RowRejected("duplicate_id", f"id {line.id!r} was used by an earlier row")


def _counted(refused: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in refused.most_common())


def _remedy(refused: Counter[str]) -> str:
    remedies = {
        "no_image": "put the images beside the table, in a folder 'images' or an uncompressed .tar there",
        "ambiguous_image": "keep one image of each name beside the table",
        "outside_folder": "give file names relative to the folder, without '..' and without links that lead out",
        "no_text": "fill in the transcriptions",
        "bad_split": "name the splits train, val or test",
        "withdrawn": "every correction was withdrawn; correct some lines anew",
        "extra_cells": "put texts that hold the separator in quotation marks",
    }
    worst = refused.most_common(1)[0][0] if refused else ""
    return remedies.get(worst, "check that the images open, and import again")
