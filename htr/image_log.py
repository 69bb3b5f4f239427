"""The image log's format: what a sample of the prediction log's rows looked like, and what was read on it.

    DIR/images/<UTC time>-<process>-<number>.parquet     beside the prediction log; finished files, as there

A row belongs to the row of the prediction log with the same request id and position. Image and text stand
together: a correction needs both, and who may see the one learns nothing from the other.
"""

import hashlib
from collections.abc import Collection, Iterator
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
    for file in _files(folder):
        for row in _read_file(file).to_pylist():
            if since is None or row["time"] >= since:
                yield LoggedImage(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedText:
    """What was read on one line, without the line."""

    time: datetime
    request_id: str
    position: int
    text: str


def read_texts(folder: Path, *, since: datetime) -> Iterator[LoggedText]:
    """Read what was read from a time on, without the pictures, which take a thousand times what their names do.

    Args:
        folder: where serving writes its prediction log.
        since: rows from this time on only (with time zone).

    Raises:
        DataError: as `read_images`.
    """
    for file in _files(folder):
        for row in _read_file(file, columns=["time", "request_id", "position", "text"]).to_pylist():
            if row["time"] >= since:
                yield LoggedText(**row)


def find_images(folder: Path, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], LoggedImage]:
    """Return the lines of some places that the log holds; of a name that was used twice the newest.

    Args:
        folder: where serving writes its prediction log.
        places: request id and position of each.

    Raises:
        DataError: as `read_images`.
    """
    wanted = set(places)
    found: dict[tuple[str, int], LoggedImage] = {}
    for file in _files(folder):
        names = _read_file(file, columns=["request_id", "position"]).to_pylist()
        if wanted.isdisjoint((row["request_id"], row["position"]) for row in names):
            continue  # pictures take a thousand times what their names do
        for row in _read_file(file).to_pylist():
            if (place := (row["request_id"], row["position"])) in wanted:
                found[place] = LoggedImage(**row)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Yield the finished files, the oldest first."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no prediction log there; start the server with --log-dir {folder}")
    for file in sorted((folder / FOLDER).glob("*.parquet")):
        if not file.name.startswith("."):
            yield file


def _read_file(file: Path, *, columns: list[str] | None = None) -> pa.Table:
    """Read a file, or some columns of it."""
    try:
        table = pq.read_table(file, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: damaged log file ({error}); move it away to go on without its rows") from error
    found = (table.schema.metadata or {}).get(b"format_version", b"").decode()
    if found != str(FORMAT_VERSION):
        raise DataError(f"{file}: log of version {found!r}, this program reads {FORMAT_VERSION}; move it away")
    wanted = [SCHEMA.field(name) for name in columns or SCHEMA.names]
    return table.cast(pa.schema(wanted, metadata=SCHEMA.metadata))
