"""A table of ``file_name`` and ``text`` in, a lines dataset out; images lie in folders or tars beside the table.

The table is CSV with commas, semicolons or tabs, or JSON Lines.

Columns that are used when they are there: ``writer``, ``page``, ``language``, ``source``, ``subset``, ``split``,
``tar`` and ``id``. Reports are by ``subset`` where there is one, else by ``source``. Other columns are ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from htr.errors import DataError, SettingsError
from htr.importers.images import ImagesBesideTable, checked
from htr.importers.json_lines import SUFFIXES, open_json_table
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.importers.splits import split_named, split_of_group
from htr.importers.tables import Row, Table, open_table, require_columns
from htr.lines import DatasetInfo, Line

_SYNONYMS = {
    **dict.fromkeys(("filename", "file", "image", "img", "image_path", "path", "name"), "file_name"),
    **dict.fromkeys(("transcription", "transcript", "label", "ground_truth", "gt", "identity", "words"), "text"),
}
_USED = frozenset(("file_name", "text", "writer", "page", "language", "source", "subset", "split", "tar", "id"))


def import_manifest(
    table: Path,
    out: Path,
    *,
    only: Mapping[str, set[str]] | None = None,
    limit: int | None = None,
    images: Path | None = None,
    columns: Mapping[str, str] | None = None,
    policy: str | Path | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import a table; each of its rows is kept or quarantined with a reason.

    A table without a ``split`` column is split by writer, else by page, else by file: see `split_of_group`.

    Args:
        table: the CSV file, in UTF-8, with a header, or a JSON Lines file.
        out: the folder to create.
        only: by column, the values whose rows are taken; other rows are passed over.
        limit: take that many rows at most.
        images: where the images are; by default beside the table.
        columns: our name of a column -> the table's, where they differ.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with rows done and rows in all.

    Raises:
        DataError: the table cannot be used, or none of its rows can; then nothing is written.
        SettingsError: the limit is below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    source = open_json_table(table) if table.suffix.lower() in SUFFIXES else open_table(table)
    source = _renamed(source, columns or {})
    if {"FILENAME", "IDENTITY"} <= set(source.columns) and "file_name" not in source.columns:
        raise DataError(f"{table}: this is the Kaggle names layout; import it with: import names-csv {table}")
    require_columns(source, ("file_name", "text"), synonyms=_SYNONYMS)
    only = only or {}
    total = _count(source, only)
    total = total if limit is None else min(total, limit)
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; --images wants the folder that holds the images")
    cleaner = cleaner_for(policy, lambda: (row.cells["text"] for row in _taken(source, only, total)))
    with ImagesBesideTable(images or table.parent) as pictures:
        return write_rows(
            _taken(source, only, total),
            out,
            origin=table,
            total=total,
            name_of=lambda row: row.cells["file_name"] or f"row ending on line {row.number}",
            to_line=lambda row: _line(row, pictures, cleaner),
            progress=progress,
            lineage=lambda: {"importer": "manifest", "origin": table.name, **cleaner.lineage()},
        )


def _renamed(table: Table, columns: Mapping[str, str]) -> Table:
    unknown = sorted(set(columns.values()) - set(table.columns))
    if unknown:
        raise DataError(f"{table.path}: has no column {', '.join(unknown)}; it has {', '.join(table.columns)}")
    theirs = {their: our for our, their in columns.items()}
    return replace(table, renamed=theirs, columns=tuple(theirs.get(name, name) for name in table.columns))


def _taken(table: Table, only: Mapping[str, set[str]], limit: int) -> Iterator[Row]:
    wanted = (row for row in table.rows() if _is_wanted(row, only))
    yield from islice(wanted, limit)


def _is_wanted(row: Row, only: Mapping[str, set[str]]) -> bool:
    return all(row.cells[column] in values for column, values in only.items())


def _count(table: Table, only: Mapping[str, set[str]]) -> int:
    """Count the rows that are wanted, and so read the whole table once before anything is written."""
    require_columns(table, only, synonyms={})
    present: dict[str, set[str]] = {column: set() for column in only}
    num_rows = num_wanted = 0
    for row in table.rows():
        num_rows += 1
        for column, values in present.items():
            values.add(row.cells[column])
        num_wanted += _is_wanted(row, only)
    if num_rows == 0:
        raise DataError(f"{table.path}: has a header but no rows; add one row for each line of writing")
    for column, values in only.items():
        unknown = sorted(values - present[column])
        if unknown:
            known = ", ".join(sorted(present[column])[:12])
            raise DataError(f"{table.path}: column {column!r} never holds {', '.join(unknown)}; it holds {known}")
    if num_wanted == 0:
        raise DataError(f"{table.path}: no row meets all the conditions of --only; drop one of them")
    return num_wanted


def _line(row: Row, images: ImagesBesideTable, cleaner: Cleaner) -> Line:
    where = f"line {row.number}"
    if row.num_extra:
        raise RowRejected("extra_cells", f"{where}: {row.num_extra} cells too many; quote texts with separators")
    if unusable := sorted(row.unusable & _USED):
        raise RowRejected("bad_value", f"{where}: {', '.join(unusable)} holds neither text nor a whole number")
    cells = row.cells
    name = cells["file_name"]
    if not name:
        raise RowRejected("no_file_name", where)
    text = cleaner.text(cells["text"])
    writer, page = cells.get("writer", ""), cells.get("page", "")
    if "split" in cells:
        split = split_named(cells["split"])
        if split is None:
            raise RowRejected("bad_split", f"{where}: {cells['split']!r} is not train, val or test")
    else:
        split = split_of_group(writer or page or name)
    image = checked(images.read(name, cells.get("tar", "")))
    return Line(
        id=cells.get("id") or name,
        image=image.data,
        text=text,
        writer=writer,
        page=page,
        language=cells.get("language", ""),
        source=cells.get("subset") or cells.get("source", ""),
        split=split,
        width=image.width,
        height=image.height,
    )
