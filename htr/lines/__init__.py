"""The lines dataset: handwritten lines with their text, as Parquet shards beside one ``dataset.json``.

    DIR/dataset.json          format version, counts, alphabet, shard digests, content digest
    DIR/lines/00000.parquet   one row a line; DIR/lines opens in pandas, DuckDB and Hugging Face datasets as it is
    DIR/quarantine.csv        what was left out on the way in, one row each, with the reason

The content digest covers every line's values in order, not how they are cut into shards. A folder appears
whole or not at all: it is written beside its place and renamed.
"""

from htr.lines.format import (
    ASKED_FOR,
    CORRECTIONS,
    FORMAT_VERSION,
    SCHEMA,
    SHARDS,
    SPLITS,
    DatasetInfo,
    Line,
    file_sha256,
)
from htr.lines.reading import LinesDataset
from htr.lines.writing import LinesWriter

__all__ = [
    "ASKED_FOR",
    "CORRECTIONS",
    "FORMAT_VERSION",
    "SCHEMA",
    "SHARDS",
    "SPLITS",
    "DatasetInfo",
    "Line",
    "LinesDataset",
    "LinesWriter",
    "file_sha256",
]
