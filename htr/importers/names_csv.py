"""The Kaggle names layout in (``FILENAME,IDENTITY``, images in folders below), a lines dataset out.

Its labels have traps: an empty cell, UNREADABLE and EMPTY say that there is nothing to read, while NA, NAN and
NULL are surnames. Every image has a writer of its own.
"""

import re
from itertools import islice
from pathlib import Path

from htr.errors import DataError, SettingsError
from htr.importers.images import check_inside, checked, read_file
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.importers.splits import split_named, split_of_group
from htr.importers.tables import Row, open_table, require_columns
from htr.lines import SPLITS, DatasetInfo, Line

FILE, LABEL = "FILENAME", "IDENTITY"
POLICY = "names"
"""Cleaning rules of this layout: labels that stand for no label."""
BY_HASH = "hash"
_SYNONYMS = {
    **dict.fromkeys(("filename", "file_name", "file", "image"), FILE),
    **dict.fromkeys(("identity", "text", "label", "name", "transcription"), LABEL),
}
_SPLIT_WORD = re.compile(r"(?:^|[^a-z])(train|training|val|valid|validation|test)(?:[^a-z]|$)")


def import_names_csv(
    table: Path,
    out: Path,
    *,
    images: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    policy: str | Path = POLICY,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import a table of names; each of its rows is kept or quarantined with a reason.

    Args:
        table: the CSV file, in UTF-8, with columns FILENAME and IDENTITY.
        out: the folder to create.
        images: where to look for the images; by default the table's folder. Two levels of folders are searched.
        split: the split of every line, or ``hash`` to spread the lines by their names; by default the split
            that the image's or else the table's name says (VALIDATION_0001.jpg, written_name_test_v2.csv), and
            where they say none, as ``hash``.
        limit: take that many rows at most.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with rows done and rows in all.

    Raises:
        DataError: the table cannot be used, or none of its rows can; then nothing is written.
        SettingsError: the split is unknown, the limit below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if split is not None and split not in (*SPLITS, BY_HASH):
        raise SettingsError(f"split {split!r} is not known; choose one of {(*SPLITS, BY_HASH)}")
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    source = open_table(table)
    require_columns(source, (FILE, LABEL), synonyms=_SYNONYMS)
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; --images wants the folder that holds the images")
    total = sum(1 for _ in source.rows())
    if total == 0:
        raise DataError(f"{table}: has a header but no rows; add one row for each image")
    total = total if limit is None else min(total, limit)
    places = _folders(images or table.parent)
    cleaner = cleaner_for(policy, lambda: (row.cells[LABEL] for row in islice(source.rows(), total)))
    return write_rows(
        islice(source.rows(), total),
        out,
        origin=table,
        total=total,
        name_of=lambda row: row.cells[FILE] or f"row ending on line {row.number}",
        to_line=lambda row: _line(row, places, split, table.stem, cleaner),
        progress=progress,
        lineage=lambda: {"importer": "names-csv", "origin": table.name, **cleaner.lineage()},
    )


def _folders(root: Path) -> list[Path]:
    """Return a folder and those up to two levels below it, without listing what lies deeper."""
    try:
        first = sorted(p for p in root.iterdir() if p.is_dir())
        return [root, *first, *(p for folder in first for p in sorted(folder.iterdir()) if p.is_dir())]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror})") from error


def _line(row: Row, places: list[Path], split: str | None, table_stem: str, cleaner: Cleaner) -> Line:
    where = f"line {row.number}"
    if row.num_extra:
        raise RowRejected("extra_cells", f"{where}: {row.num_extra} cells too many; quote labels with commas")
    name = row.cells[FILE]
    if not name:
        raise RowRejected("no_file_name", where)
    text = cleaner.text(row.cells[LABEL])
    image = checked(_read(name, places))
    stem = Path(name).stem
    return Line(
        id=name,
        image=image.data,
        text=text,
        writer=stem,
        language="fra",
        source="names",
        split=_split(name, stem, table_stem) if split is None else _given(split, name),
        width=image.width,
        height=image.height,
    )


def _given(split: str, name: str) -> str:
    return split_of_group(name) if split == BY_HASH else split


def _split(name: str, stem: str, table_stem: str) -> str:
    for said in (stem, table_stem):
        word = _SPLIT_WORD.search(said.casefold())
        if word:
            return split_named(word[1]) or split_of_group(name)
    return split_of_group(name)


def _read(name: str, places: list[Path]) -> bytes:
    check_inside(name)
    found = {place: data for place in places if (data := read_file(place / name, root=places[0])) is not None}
    if not found:
        raise RowRejected("no_image", f"not in {places[0]} nor two levels below")
    if len(set(found.values())) > 1:
        raise RowRejected("ambiguous_image", f"different images of that name in {', '.join(map(str, found))}")
    return next(iter(found.values()))
