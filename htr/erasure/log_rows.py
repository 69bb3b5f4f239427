"""Rows of the prediction log and of the image log: which are somebody's, and their files without those."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from htr.erasure.marks import Marks

Mask = Callable[[pa.Table], list[bool]]
"""Which rows of a table are meant."""


def of_rows(marks: Marks) -> Mask:
    """Return what finds somebody's rows in the prediction log."""

    def mask(table: pa.Table) -> list[bool]:
        pairs = zip(table["request_id"].to_pylist(), table["position"].to_pylist(), strict=True)
        return [marks.is_row(*pair) for pair in pairs]

    return mask


def of_images(marks: Marks) -> Mask:
    """Return what finds somebody's rows in the image log, those with the same image among them."""
    rows = of_rows(marks)

    def mask(table: pa.Table) -> list[bool]:
        digests = table["image_digest"].to_pylist()
        return [row or digest in marks.digests for row, digest in zip(rows(table), digests, strict=True)]

    return mask


def erase_rows(folder: Path, mask: Mask, *, dry_run: bool) -> int:
    """Write a log's files anew without the rows that are meant; return how many those are."""
    erased = 0
    for file in _log_files(folder):
        table = pq.read_table(file)
        gone = mask(table)
        if not any(gone):
            continue
        erased += sum(gone)
        if dry_run:
            continue
        left = table.filter(pc.invert(pa.array(gone)))
        if len(left):
            partial = file.with_name(f".{file.name}")
            pq.write_table(left, partial)
            _durable(partial)
            partial.replace(file)
        else:
            file.unlink()
    return erased


def image_rows(folder: Path) -> list[tuple[str, int, str]]:
    """Return request, position and digest of every image in an image log."""
    found = []
    for file in _log_files(folder):
        table = pq.read_table(file, columns=["request_id", "position", "image_digest"])
        found += [(row["request_id"], row["position"], row["image_digest"]) for row in table.to_pylist()]
    return found


def _log_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.parquet")) if not file.name.startswith(".")]


def _durable(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
