"""A lines dataset on disk, opened for reading; one row group of it is in memory at a time."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import DataError
from htr.lines.format import FORMAT_VERSION, SCHEMA, DatasetInfo, Line, file_sha256


class LinesDataset:
    """A lines dataset on disk, opened for reading."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        self.path = path
        self.info = info

    @classmethod
    def open(cls, path: Path | str) -> "LinesDataset":
        """Open a dataset folder.

        Raises:
            DataError: there is no dataset there, or it is of another format version.
        """
        path = Path(path)
        meta = path / "dataset.json"
        if not meta.is_file():
            raise DataError(
                f"{path}: not a lines dataset (no dataset.json). "
                "Make one with: python -m htr import manifest TABLE.csv --out DIR"
            )
        try:
            raw = json.loads(meta.read_text(encoding="utf-8"))
            version = raw["format_version"]
            if version != FORMAT_VERSION:
                raise DataError(
                    f"{meta}: format version {version}, this program reads {FORMAT_VERSION}; import again"
                )
            # What the lines came from was not always written down.
            raw = {"lineage": {}} | raw
            info = DatasetInfo(**{f.name: raw[f.name] for f in fields(DatasetInfo)})
            _check_info(info)
            missing = [s["file"] for s in info.shards if not (path / s["file"]).is_file()]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{meta}: damaged ({error}); import the dataset again") from error
        except OSError as error:  # a name that no disk takes among them
            raise DataError(f"{meta}: cannot be read ({error.strerror}); import the dataset again") from error
        if missing:
            raise DataError(f"{path}: shards are missing: {missing}; import the dataset again")
        return cls(path, info)

    def __len__(self) -> int:
        return self.info.num_lines

    @property
    def digest(self) -> str:
        """Content digest, ``sha256:...``."""
        return self.info.digest

    def lines(self, split: str | None = None) -> Iterator[Line]:
        """Yield the lines, or those of one split, in stored order; one row group is in memory at a time."""
        for shard in self.info.shards:
            file = self.path / shard["file"]
            try:
                parquet = pq.ParquetFile(file)
                for batch in parquet.iter_batches(batch_size=512):
                    for row in batch.to_pylist():
                        if split is None or row["split"] == split:
                            yield Line(**row)
            except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
                raise DataError(f"{file}: damaged shard ({error}); import the dataset again") from error

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of all lines as one Arrow table, without touching the others (images, say)."""
        schema = pa.schema([SCHEMA.field(n) for n in names])
        tables = [pa.Table.from_batches([batch]) for batch in self.batches(names)]
        try:
            return (
                pa.concat_tables([t.select(list(names)).cast(schema) for t in tables])
                if tables
                else schema.empty_table()
            )
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"{self.path}: its shards hold other columns ({error}); import again") from error

    def batches(self, names: Sequence[str], *, rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """Yield some columns of all lines in stored order, so many rows at a time at most.

        Raises:
            DataError: a shard cannot be read to its end.
        """
        for shard in self.info.shards:
            file = self.path / shard["file"]
            try:
                with pq.ParquetFile(file) as parquet:
                    _check_columns(file, parquet, names)
                    missing = parquet.metadata.num_rows
                    for batch in parquet.iter_batches(batch_size=rows, columns=list(names)):
                        batch.validate(full=True)  # texts that are not UTF-8, above all
                        missing -= batch.num_rows
                        yield batch
                if missing:
                    raise DataError(
                        f"{file}: damaged shard ({missing} rows are missing); import the dataset again"
                    )
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise DataError(f"{file}: damaged shard ({error}); import the dataset again") from error

    def texts(self, split: str | None = None) -> list[str]:
        """Return the transcriptions, of one split or of all."""
        rows = self.columns(["text", "split"]).to_pylist()
        return [row["text"] for row in rows if split is None or row["split"] == split]

    def verify(self) -> None:
        """Read everything and compare it with the digests.

        Raises:
            DataError: a shard or a line differs from what ``dataset.json`` promises.
        """
        for shard in self.info.shards:
            if file_sha256(self.path / shard["file"]) != shard["sha256"]:
                raise DataError(f"{self.path / shard['file']}: altered since it was written; import again")
        content = hashlib.sha256()
        for line in self.lines():
            content.update(line.digest())
        if f"sha256:{content.hexdigest()}" != self.digest:
            raise DataError(f"{self.path}: content differs from its digest {self.digest}; import again")


def _check_columns(file: Path, parquet: pq.ParquetFile, names: Sequence[str]) -> None:
    missing = sorted(set(names) - set(parquet.schema_arrow.names))
    if missing:
        raise DataError(f"{file}: has no column {', '.join(missing)}; import the dataset again")


def _check_info(info: DatasetInfo) -> None:
    kinds = {"num_lines": int, "digest": str, "alphabet": str, "counts": dict, "shards": list, "lineage": dict}
    for name, kind in kinds.items():
        if type(getattr(info, name)) is not kind:
            raise ValueError(f"{name} is {type(getattr(info, name)).__name__}, should be {kind.__name__}")
    if info.num_lines < 0:
        raise ValueError(f"num_lines is {info.num_lines}")
    for name, counts in info.counts.items():
        if type(counts) is not dict or not all(type(count) is int for count in counts.values()):
            raise ValueError(f"counts of {name!r} are no counts")
    for shard in info.shards:
        found = (shard["file"], shard["num_lines"], shard["sha256"])
        if [type(value) for value in found] != [str, int, str]:
            raise ValueError(f"{found} are no file, number of lines and digest of a shard")
        if PurePosixPath(shard["file"]).is_absolute() or ".." in PurePosixPath(shard["file"]).parts:
            raise ValueError(f"shard {shard['file']!r} would lie outside of the dataset's folder")
