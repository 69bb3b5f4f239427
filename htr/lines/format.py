"""What a lines dataset is made of: a line, its columns, and what ``dataset.json`` says of them all."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from htr.alphabet import normalise

FORMAT_VERSION = 1
SHARDS = "lines"
"""Sub-folder of the Parquet files: they lie by themselves, so that any Parquet reader takes the folder."""
SPLITS = ("train", "val", "test", "recent")
"""``recent`` holds corrected lines kept back from training, so that a gate can ask about today's hands."""

CORRECTIONS = "corrections"
"""Source of lines that people corrected after the model had read them."""

ASKED_FOR = "corrections asked for"
"""Source of those that people looked at because of what the model read: learnt from, never held back."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("writer", pa.string(), nullable=False),
        pa.field("page", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One handwritten line and what it says."""

    id: str
    """Unique within a dataset."""
    image: bytes
    """The image as encoded (PNG, JPEG, WebP, ...)."""
    text: str
    """Transcription in NFC, single spaces, never empty."""
    writer: str = ""
    page: str = ""
    language: str = ""
    """ISO 639-3 code, or "" when unknown."""
    source: str = ""
    """The collection it came from; reports are broken down by it."""
    split: str = "train"
    """One of SPLITS."""
    width: int
    """Pixels, as stored."""
    height: int
    """Pixels, as stored."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"Line.split must be one of {SPLITS}, got {self.split!r}")
        if not self.text or self.text != normalise(self.text):
            raise ValueError(f"Line.text must be non-empty NFC with single spaces, got {self.text!r}")

    def digest(self) -> bytes:
        """Return the SHA-256 of everything that makes this line what it is."""
        image = hashlib.sha256(self.image).hexdigest()
        values = [self.id, image, self.text, self.writer, self.page, self.language, self.source, self.split]
        return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """What ``dataset.json`` holds."""

    format_version: int
    num_lines: int
    digest: str
    """``sha256:...`` over the content; two datasets with equal digests hold the same lines in the same order."""
    alphabet: str
    """Every character of every text, sorted."""
    counts: dict[str, dict[str, int]]
    """Lines by ``split``, ``source``, ``language``, and ``quarantined`` by reason."""
    shards: list[dict[str, Any]]
    """``file``, ``num_lines`` and ``sha256`` of each shard."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """What the lines came from: importer, origin, cleaning policy with the counts each rule took, or the parent
    dataset. Empty where nobody said; no part of the content digest."""


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
