"""The prediction log's format: Parquet files with one row a reading, written by serving, read by monitoring.

    DIR/<UTC time>-<process>-<number>.parquet     finished files; a name that starts with a dot is being written

A row is a profile row with when, by which model, and for which request it was made. It holds no image and no text.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from htr.errors import DataError
from htr.profile import PROFILE_VERSION, Profile
from htr.profile import SCHEMA as PROFILE_SCHEMA

FORMAT_VERSION = 2
SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("bundle_digest", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        *PROFILE_SCHEMA,
    ],
    metadata={"format_version": str(FORMAT_VERSION), "profile_version": str(PROFILE_VERSION)},
)


def log_row(
    measured: Profile,
    *,
    time: datetime,
    request_id: str,
    position: int,
    model_version: str,
    bundle_digest: str,
    confidence: float,
) -> dict[str, Any]:
    """Return one row of the log.

    Args:
        measured: the reading's profile.
        time: when it was read, with time zone.
        request_id: id of the request it came in.
        position: its place among the request's images, from 0.
        model_version: registry version, or a short digest where there is no registry.
        bundle_digest: digest of the bundle that read it.
        confidence: calibrated confidence, 0..1.
    """
    return {
        "time": time,
        "request_id": request_id,
        "position": position,
        "model_version": model_version,
        "bundle_digest": bundle_digest,
        "confidence": confidence,
        **measured.row(),
    }


def read_log(
    folder: Path, *, since: datetime | None = None, bundle_digest: str | None = None, newest: int | None = None
) -> pa.Table:
    """Read the finished files of a prediction log, oldest row first.

    Args:
        folder: where serving writes its log.
        since: rows from this time on only (with time zone).
        bundle_digest: rows of this model only.
        newest: at most this many of the newest rows.

    Raises:
        DataError: the folder is missing, or a file is damaged or of another version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no prediction log there; start the server with --log-dir {folder}")
    tables = [_read_file(file) for file in sorted(folder.glob("*.parquet")) if not file.name.startswith(".")]
    table = pa.concat_tables([SCHEMA.empty_table(), *tables]).sort_by([("time", "ascending")])
    if since is not None:
        table = table.filter(pc.greater_equal(table["time"], pa.scalar(since, SCHEMA.field("time").type)))
    if bundle_digest is not None:
        table = table.filter(pc.equal(table["bundle_digest"], bundle_digest))
    return table if newest is None else table.slice(max(0, len(table) - newest))


def _read_file(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: damaged log file ({error}); move it away to go on without its rows") from error
    found = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    wanted = {k.decode(): v.decode() for k, v in SCHEMA.metadata.items()}
    if any(found.get(key) != value for key, value in wanted.items()):
        raise DataError(f"{file}: log of version {found}, this program reads {wanted}; move it away")
    return table.cast(SCHEMA)
