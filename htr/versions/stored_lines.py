"""A lines dataset read straight from a store: shards come when they are wanted, through a local cache."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import AlteredError, DataError
from htr.lines import FORMAT_VERSION, SCHEMA, DatasetInfo, Line, LinesDataset
from htr.versions.cache import FileCache
from htr.versions.objects import Objects
from htr.versions.records import Version

_META = "dataset.json"


class StoredLines(LinesDataset):
    """A version of a lines dataset, opened for reading where it lies.

    Each shard is compared with its digest when it comes, and the first time that this process opens it.

    Args:
        objects: the store's bytes.
        version: of kind ``lines``.
        cache: where shards are kept; by default the one that the environment names.

    Raises:
        AlteredError: the store does not hold what was published.
    """

    def __init__(self, objects: Objects, version: Version, cache: FileCache | None = None) -> None:
        self._objects = objects
        self._cache = cache or FileCache.of(os.environ)
        self._files = {file.path: file for file in version.files}
        self.version = version
        # There is no folder: the path only tells people, in messages, where the lines are.
        super().__init__(Path(version.uri), self._read_info())

    @property
    def uri(self) -> str:
        """Address of the version."""
        return self.version.uri

    def lines(self, split: str | None = None) -> Iterator[Line]:
        """Yield the lines, or those of one split, in stored order; see `LinesDataset.lines`."""
        for shard in self.info.shards:
            with self._local(shard["file"]) as file:
                one = replace(self.info, shards=[{**shard, "file": file.name}])
                yield from LinesDataset(file.parent, one).lines(split)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of all lines as one Arrow table; see `LinesDataset.columns`."""
        schema = pa.schema([SCHEMA.field(name) for name in names])
        tables = []
        for shard in self.info.shards:
            with self._local(shard["file"]) as file:
                tables.append(pq.read_table(file, columns=list(names), memory_map=False).cast(schema))
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def batches(self, names: Sequence[str], *, rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """Yield some columns of all lines in stored order, so many rows at a time at most."""
        for shard in self.info.shards:
            with self._local(shard["file"]) as file:
                try:
                    with pq.ParquetFile(file) as parquet:
                        yield from parquet.iter_batches(batch_size=rows, columns=list(names))
                except pa.ArrowException as error:
                    raise DataError(f"{self.uri}: {shard['file']}: damaged shard ({error})") from error

    def verify(self) -> None:
        """Read everything and compare it with the version's digest.

        Raises:
            AlteredError: it differs.
        """
        content = hashlib.sha256()
        for line in self.lines():
            content.update(line.digest())
        if content.hexdigest() != self.version.digest:
            raise AlteredError(f"{self.uri}: content differs from its digest; publish it again with --repair")

    @contextmanager
    def _local(self, path: str) -> Iterator[Path]:
        stored = self._files.get(path)
        if stored is None:
            raise AlteredError(f"{self.uri}: its {_META} names {path}, which was not published")
        with self._cache.file(self._objects, stored, f"lines {self.version.digest[:12]}: {path}") as file:
            yield file

    def _read_info(self) -> DatasetInfo:
        with self._local(_META) as file:
            data = file.read_bytes()
        where = f"{self.version.uri}: {_META}"
        try:
            raw: dict[str, Any] = {"lineage": {}} | json.loads(data)
            if raw["format_version"] != FORMAT_VERSION:
                raise DataError(
                    f"{where}: format version {raw['format_version']}, this program reads {FORMAT_VERSION}"
                )
            info = DatasetInfo(**{f.name: raw[f.name] for f in fields(DatasetInfo)})
        except (ValueError, KeyError, TypeError) as error:
            raise AlteredError(f"{where}: damaged ({error}); publish it again with --repair") from error
        if info.digest != f"sha256:{self.version.digest}":
            raise AlteredError(f"{where}: is that of {info.digest}; publish it again with --repair")
        return info
