"""Tables of profile rows -> columns that can be compared, or an error that names what is wrong with them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import DataError
from htr.profile import PROFILE_VERSION

Columns = dict[str, npt.NDArray[np.floating]]


def read_reference(file: Path) -> pa.Table:
    """Read a reference profile, such as a bundle's ``reference.parquet``.

    Raises:
        DataError: missing, damaged, or of another profile version or of none.
    """
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a reference profile ({error}); evaluate the model again") from error
    version = (table.schema.metadata or {}).get(b"profile_version", b"unknown").decode(errors="replace")
    if version != str(PROFILE_VERSION):
        raise DataError(f"{file}: profile version {version}, expected {PROFILE_VERSION}; evaluate the model again")
    return table


def take_columns(table: pa.Table, name: str, wanted: Sequence[str]) -> Columns:
    """Take columns of finite numbers out of a table.

    Args:
        table: profile rows, or rows of the prediction log.
        name: what to call it in an error.
        wanted: the columns.

    Raises:
        DataError: a column is missing, empty, or not finite somewhere.
    """
    columns = {}
    for feature in wanted:
        if feature not in table.column_names:
            raise DataError(f"{name}: no column {feature!r} (it has {table.column_names}); read the lines again")
        kind = table.schema.field(feature).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise DataError(f"{name}: column {feature!r} must hold numbers, it holds {kind}; read the lines again")
        column = table[feature]  # single precision stays: a million rows are many
        values = (column if kind == pa.float32() else column.cast(pa.float64())).to_numpy()
        bad = np.flatnonzero(~np.isfinite(values))  # an absent value is NaN by now
        if len(bad) and len(bad) == len(values):
            raise DataError(f"{name}: column {feature!r} is empty (no finite number in any row); read lines again")
        if len(bad):
            raise DataError(
                f"{name}: column {feature!r} has {len(bad)} of {len(values)} values that are not finite numbers, "
                f"the first in row {bad[0]} ({values[bad[0]]}); leave those rows out"
            )
        columns[feature] = values
    return columns
