"""The image log's format: what a sample of the prediction log's rows looked like, and what was read on it.

    DIR/images/<UTC time>-<process>-<number>.parquet     beside the prediction log; finished files, as there

A row belongs to the row of the prediction log with the same request id and position. Image and text stand
together: a correction needs both, and who may see the one learns nothing from the other.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import DataError

FORMAT_VERSION = 1
FOLDER = "images"
"""Below the prediction log's folder."""
SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("bundle_digest", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("image_digest", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
    ],
    metadata={"format_version": str(FORMAT_VERSION)},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedImage:
    """One line as it was sent, and what was read on it."""

    time: datetime
    request_id: str
    position: int
    """Its place among the request's lines, from 0."""
    model_version: str
    bundle_digest: str
    text: str
    confidence: float
    """Calibrated probability that the whole line is right, 0..1."""
    image_digest: str
    """``sha256:...`` of the image: the same where a request was sent again."""
    image: bytes
    """Encoded, as it was sent; of a page, PNG of the line as it was read."""


def digest_of(image: bytes) -> str:
    """Return the digest that an image goes by."""
    return "sha256:" + hashlib.sha256(image).hexdigest()


def read_images(folder: Path, *, since: datetime | None = None) -> Iterator[LoggedImage]:
    """Read the finished files of an image log one by one, oldest file first.

    Args:
        folder: where serving writes its prediction log.
        since: rows from this time on only (with time zone).

    Raises:
        DataError: a file is damaged or of another version, or the folder is missing.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no prediction log there; start the server with --log-dir {folder}")
    for file in sorted((folder / FOLDER).glob("*.parquet")):
        if file.name.startswith("."):
            continue
        for row in _read_file(file).to_pylist():
            if since is None or row["time"] >= since:
                yield LoggedImage(**row)


def _read_file(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: damaged log file ({error}); move it away to go on without its rows") from error
    found = (table.schema.metadata or {}).get(b"format_version", b"").decode()
    if found != str(FORMAT_VERSION):
        raise DataError(f"{file}: log of version {found!r}, this program reads {FORMAT_VERSION}; move it away")
    return table.cast(SCHEMA)
