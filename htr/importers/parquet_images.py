"""Hugging Face's Parquet with image and text in (as ``push_to_hub`` writes it), a lines dataset out.

An image is bytes, or a struct of ``bytes`` and ``path``; a path is looked up beside the file. What the rows lack,
file names say: ``data/train-00000-of-00002.parquet`` is of split train.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import DataError, SettingsError
from htr.importers.folders import Known, files_under, split_at
from htr.importers.images import check_inside, checked, read_file
from htr.importers.policy import Cleaner, cleaner_for
from htr.importers.rows import Progress, RowRejected, write_rows
from htr.importers.splits import split_named
from htr.importers.tars import check_size
from htr.lines import DatasetInfo, Line

TEXT_COLUMNS = ("text", "transcription", "label", "sentence", "ground_truth", "transcript")
_OPTIONAL = ("writer", "page", "language", "source", "split", "id")
_IDS = (str, int)
_ROWS_AT_A_TIME = 64
MAX_UNPACKED = 256 * 2**20
"""Bytes of one column of a row group, beyond which it may not be packed tighter than MAX_PACKED times."""
MAX_PACKED = 50
"""Images hardly shrink; what shrinks more, and is large, was made to fill memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Which columns hold what."""

    image: str = "image"
    text: str = ""
    """By default the first of TEXT_COLUMNS that is there."""


@dataclass(frozen=True, slots=True)
class _Row:
    file: str
    number: int
    values: dict[str, Any]

    @property
    def id(self) -> str:
        """The row's own id, or its place where it has none or one that names nothing."""
        own = self.values.get("id")
        if type(own) in _IDS and own != "":
            return str(own)
        return f"{PurePosixPath(self.file).with_suffix('')}-{self.number:07d}"


def import_parquet(
    path: Path,
    out: Path,
    *,
    columns: Columns | None = None,
    known: Known | None = None,
    limit: int | None = None,
    policy: str | Path | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Import a Parquet file, or all below a folder; each row is kept or quarantined with a reason.

    Also used where they are there: columns ``writer``, ``page``, ``language``, ``source``, ``split`` and ``id``.

    Args:
        path: the file or folder.
        out: the folder to create.
        columns: which of them hold image and text.
        known: what is true of all lines.
        limit: take that many rows at most.
        policy: cleaning rules, by file or name; see `htr.importers.policy`.
        progress: called with rows done and rows in all.

    Raises:
        DataError: a file is damaged or lacks a column, or no row can be used; nothing is written then.
        SettingsError: the limit is below 1, or the policy cannot be used.
        OutputError: the folder is there already or cannot be written.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be 1 or more, got {limit}")
    root = path if path.is_dir() else path.parent
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give a .parquet file or a folder of them")
    files = list(files_under(root, (".parquet",))) if path.is_dir() else [path.name]
    if not files:
        raise DataError(f"{path}: holds no .parquet file")
    total, text = _checked_files(root, files, columns or Columns())
    total = min(total, limit or total)
    wanted = Columns(image=(columns or Columns()).image, text=text)
    known = known or Known()
    cleaner = cleaner_for(
        policy,
        lambda: (t for row in islice(_rows(root, files, [text]), total) if isinstance(t := row.values[text], str)),
    )
    return write_rows(
        islice(_rows(root, files, [wanted.image, text, *_OPTIONAL]), total),
        out,
        origin=path,
        total=total,
        name_of=lambda row: row.id,
        to_line=lambda row: _line(row, root, wanted, known, cleaner),
        progress=progress,
        lineage=lambda: {"importer": "parquet", "origin": path.resolve().name, **cleaner.lineage()},
    )


def _checked_files(root: Path, files: list[str], columns: Columns) -> tuple[int, str]:
    """Return how many rows there are, and which column is the text."""
    total, text = 0, columns.text
    for file in files:
        if not (root / file).resolve().is_relative_to(root.resolve()):
            raise DataError(f"{root / file}: is a link that leads out of {root}; copy the file there")
        parquet = _open(root / file)
        names = parquet.schema_arrow.names
        text = text or next((name for name in TEXT_COLUMNS if name in names), "")
        for option, name in (("--image-column", columns.image), ("--text-column", text)):
            if name not in names:
                raise DataError(f"{root / file}: has no column {name!r}; it has {', '.join(names)}; see {option}")
        _check_unpacked(root / file, parquet.metadata)
        total += parquet.metadata.num_rows
    if not total:
        raise DataError(f"{root}: the Parquet files have no rows")
    return total, text


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a Parquet file that can be read ({error}); copy it again") from error


def _check_unpacked(file: Path, metadata: pq.FileMetaData) -> None:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in (group.column(at) for at in range(metadata.num_columns)):
            unpacked, packed = column.total_uncompressed_size, column.total_compressed_size
            if unpacked > MAX_UNPACKED and unpacked > MAX_PACKED * packed:
                raise DataError(
                    f"{file}: {packed} bytes of column {column.path_in_schema!r} unpack to {unpacked}, more than "
                    "images do; write it again in smaller row groups"
                )


def _rows(root: Path, files: list[str], columns: list[str]) -> Iterator[_Row]:
    for file in files:
        parquet = _open(root / file)
        there = [name for name in dict.fromkeys(columns) if name in parquet.schema_arrow.names]
        number = 0
        try:
            for batch in parquet.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=there):
                for values in batch.to_pylist():
                    yield _Row(file, number, values)
                    number += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{root / file}: damaged after row {number} ({error}); copy it again") from error


def _line(row: _Row, root: Path, columns: Columns, known: Known, cleaner: Cleaner) -> Line:
    raw = row.values[columns.text]
    if raw is not None and not isinstance(raw, str):
        raise RowRejected("bad_value", f"{columns.text} is {type(raw).__name__}, expected a text")
    own = row.values.get("id")
    if own is not None and type(own) not in _IDS:
        raise RowRejected("bad_value", f"id is {type(own).__name__}, expected a text or a whole number")
    text = cleaner.text(raw or "")
    image = checked(_image(row, root, columns.image))
    said = {name: "" if (v := row.values.get(name)) is None else str(v) for name in _OPTIONAL}
    split = split_named(said["split"]) if said["split"] else _split_of_file(row.file)
    if said["split"] and not split:
        raise RowRejected("bad_split", f"{said['split']!r} is not train, val or test")
    writer, page = said["writer"], said["page"]
    return Line(
        id=row.id,
        image=image.data,
        text=text,
        writer=writer,
        page=page,
        language=said["language"] or known.language,
        source=said["source"] or known.source,
        split=split or split_at(row.file, writer or page or row.id),
        width=image.width,
        height=image.height,
    )


def _split_of_file(file: str) -> str | None:
    path = PurePosixPath(file)
    return split_named(path.name.split("-")[0]) or split_named(path.stem)


def _image(row: _Row, root: Path, column: str) -> bytes:
    value = row.values[column]
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
    else:
        data, path = (value, None) if isinstance(value, bytes) else (None, value)
    if isinstance(data, bytes) and data:
        check_size(len(data))
        return data
    if not isinstance(path, str) or not path:
        raise RowRejected("no_image", "neither bytes nor a path")
    check_inside(path)
    found = read_file((root / row.file).parent / path, root=root)
    if found is None:
        raise RowRejected("no_image", f"{path} does not lie beside {row.file}")
    return found
