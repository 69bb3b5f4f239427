"""Lines dataset -> the two tables that the checks look at: one row a shard, one row a line.

What one pass over the lines leaves of each is `htr.audit.measures`' business; here it becomes a table.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.alphabet import normalise
from htr.audit.measures import Measured, Picture
from htr.direction import is_recoverable
from htr.lines import SCHEMA, LinesDataset, file_sha256

if TYPE_CHECKING:
    import pandas as pd

_VALUES = (
    *("id", "text", "writer", "page", "language", "source", "split", "no_value", "text_folded", "normalised"),
    *("num_characters", "recoverable", "steps_needed", "undecodable"),
)
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


def lines_table(lines: Sequence[Measured]) -> "pd.DataFrame":
    """Return one row of measures a line, in stored order.

    Args:
        lines: all lines of a dataset, as `htr.audit.measures` leaves them.
    """
    import pandas as pd

    rows = [_values(line) | _measures(line.picture) for line in lines]
    nothing = _measures(None)
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else [*_VALUES, *nothing])
    return table.astype({"steps_available": "float64", "contrast": "float64", "short_side": "float64"})


def _values(line: Measured) -> dict[str, Any]:
    """Return what the row says of itself; a missing value reads as "" and is named in ``no_value``."""
    return {
        "id": line.id,
        "text": line.text,
        "writer": line.writer,
        "page": line.page,
        "language": line.language,
        "source": line.source,
        "split": line.split,
        "no_value": line.no_value,
        "text_folded": line.text.casefold(),
        "normalised": line.text == normalise(line.text),
        "num_characters": len(line.text),
        "recoverable": is_recoverable(line.text),
        "steps_needed": line.steps_needed,
        "undecodable": line.undecodable,
    }


def _measures(picture: Picture | None) -> dict[str, Any]:
    """Return what the row's image says; None where it cannot be decoded."""
    return {
        "steps_available": picture and picture.steps,
        "image_sha256": picture and picture.sha256,
        "short_side": picture and min(picture.width, picture.height),
        "contrast": picture and picture.contrast,
        "size_fault": picture.size_fault if picture else "",
    }
