"""Lines dataset -> the two tables that the checks look at: one row a shard, one row a line.

Rows are read as they lie in the Parquet files, not as `htr.lines.Line`: a Line refuses much of what is to be found
here. Images pass by one at a time; of each only its measures and its digest stay.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from htr.alphabet import normalise
from htr.ctc import steps_needed
from htr.direction import is_recoverable
from htr.errors import DataError, ImageError
from htr.image import Geometry, decode, line_tensor, probe
from htr.lines import SCHEMA, LinesDataset, file_sha256

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
_ROWS_AT_A_TIME = 256
_SHARD_COLUMNS = ("file", "schema_faults", "num_rows", "promised_rows", "sha256", "promised_sha256")


def shards_table(dataset: LinesDataset) -> "pd.DataFrame":
    """Return what each shard is, beside what ``dataset.json`` promises of it."""
    import pandas as pd

    rows = []
    for shard in dataset.info.shards:
        file = dataset.path / shard["file"]
        num_rows, faults = _num_rows_and_schema_faults(file)
        rows.append((shard["file"], faults, num_rows, shard["num_lines"], file_sha256(file), shard["sha256"]))
    return pd.DataFrame(rows, columns=list(_SHARD_COLUMNS))


def _num_rows_and_schema_faults(file: Path) -> tuple[int, str]:
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        return -1, f"not a Parquet file ({error})"
    found = {f.name: _family(f.type) for f in parquet.schema_arrow}
    wanted = {f.name: _family(f.type) for f in SCHEMA}
    faults = [f"no column {name!r}" for name in wanted if name not in found]
    faults += [f"unknown column {name!r}" for name in found if name not in wanted]
    faults += [
        f"column {name!r} is {found[name]}, should be {kind}"
        for name, kind in wanted.items()
        if found.get(name, kind) != kind
    ]
    return parquet.metadata.num_rows, "; ".join(faults)


def _family(kind: pa.DataType) -> str:
    """Return what sort of value a column holds: other writers choose other widths for the same thing."""
    if pa.types.is_dictionary(kind):
        return _family(kind.value_type)
    if pa.types.is_integer(kind):
        return "integer"
    return re.sub(r"^(large_)?(string|binary)(_view)?$", r"\2", str(kind))


def lines_table(
    dataset: LinesDataset, geometry: Geometry, on_line: Callable[[int], None] = lambda _: None
) -> "pd.DataFrame":
    """Return one row of measures a line, in stored order; the images are not kept.

    Args:
        dataset: its shards must have the right columns.
        geometry: scaling at which the time steps are counted.
        on_line: called with the number of lines seen so far.

    Raises:
        DataError: a shard cannot be read to its end.
    """
    import pandas as pd

    rows = []
    for number, row in _raw_rows(dataset, SCHEMA.names):
        rows.append(_values(row) | _measures(row, geometry))
        on_line(number + 1)
    nothing: Row = dict.fromkeys(SCHEMA.names)
    table = pd.DataFrame(rows, columns=list(_values(nothing) | _measures(nothing, geometry)))
    return table.astype({"steps_available": "float64", "contrast": "float64", "short_side": "float64"})


def _values(row: Row) -> Row:
    """Return what the row says of itself; a missing value reads as "" and is named in ``no_value``."""
    text = row["text"] or ""
    names = ("id", "text", "writer", "page", "language", "source", "split")
    return {name: row[name] or "" for name in names} | {
        "no_value": ", ".join(n for n in SCHEMA.names if row[n] is None or (n == "id" and not row[n])),
        "text_folded": text.casefold(),
        "normalised": text == normalise(text),
        "num_characters": len(text),
        "recoverable": is_recoverable(text),
        "steps_needed": steps_needed(text),
    }


def _measures(row: Row, geometry: Geometry) -> Row:
    """Return what the row's image says; None where it cannot be decoded."""
    data = row["image"] or b""
    names = ("steps_available", "image_sha256", "short_side", "contrast")
    try:
        grey, size = decode(data), probe(data)
    except ImageError as error:
        return dict.fromkeys(names) | {"undecodable": error.reason, "size_fault": ""}
    darkest, lightest = np.percentile(grey, (0.1, 99.9))
    stored = (row["width"], row["height"])
    return {
        "steps_available": line_tensor(grey, geometry).shape[2] // geometry.column_step,
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "short_side": min(size),
        "contrast": float(lightest - darkest),
        "undecodable": "",
        "size_fault": f"{stored[0]} x {stored[1]}, but it is {size[0]} x {size[1]}" if stored != size else "",
    }


def images_of(dataset: LinesDataset, numbers: Collection[int]) -> dict[int, bytes]:
    """Return the encoded images of some lines by their row number in the lines table."""
    wanted, images = set(numbers), {}
    if wanted:
        for number, row in _raw_rows(dataset, ["image"]):
            if number in wanted:
                images[number] = row["image"] or b""
            if number == max(wanted):
                break
    return images


def _raw_rows(dataset: LinesDataset, columns: list[str]) -> Iterator[tuple[int, Row]]:
    number = 0
    for shard in dataset.info.shards:
        file = dataset.path / shard["file"]
        try:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=_ROWS_AT_A_TIME, columns=columns):
                for row in batch.to_pylist():
                    yield number, row
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: damaged shard ({error}); import the dataset again") from error
