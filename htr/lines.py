"""The lines dataset: handwritten lines with their text, as Parquet shards beside one ``dataset.json``.

    DIR/dataset.json          format version, counts, alphabet, shard digests, content digest
    DIR/lines/00000.parquet   one row a line; DIR/lines opens in pandas, DuckDB and Hugging Face datasets as it is
    DIR/quarantine.csv        what was left out on the way in, one row each, with the reason

The content digest covers every line's values in order, not how they are cut into shards. A folder appears
whole or not at all: it is written beside its place and renamed.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from htr.alphabet import normalise
from htr.errors import DataError, OutputError
from htr.making import partial_folder

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
            missing = [s["file"] for s in info.shards if not (path / s["file"]).is_file()]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{meta}: damaged ({error}); import the dataset again") from error
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
        files = [pq.read_table(self.path / s["file"], columns=list(names)) for s in self.info.shards]
        schema = pa.schema([SCHEMA.field(n) for n in names])
        return pa.concat_tables([f.cast(schema) for f in files]) if files else schema.empty_table()

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


class LinesWriter:
    """Writes a lines dataset; use as a context manager. Nothing is left behind when the block raises.

    Args:
        path: the folder to create; it must not exist, or be an empty folder.
        lines_per_shard: rows before a new Parquet file is begun.

    Raises:
        OutputError: the folder is there already, is being written by another process, or cannot be written.
    """

    def __init__(self, path: Path | str, *, lines_per_shard: int = 4096) -> None:
        self.path = Path(path)
        self._making = ExitStack()
        self._lines_per_shard = lines_per_shard
        self._rows: list[dict[str, Any]] = []
        self._shards: list[dict[str, Any]] = []
        self._content = hashlib.sha256()
        self._ids: set[str] = set()
        self._characters: set[str] = set()
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("split", "source", "language", "quarantined")
        }
        self._quarantine: list[tuple[str, str, str]] = []
        self._lineage: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise OutputError(f"{self.path}: already there; remove it or choose another --out")
            self._partial = self._making.enter_context(partial_folder(self.path))
            (self._partial / SHARDS).mkdir()
        except OSError as error:
            self._making.close()
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as problem:
            raise self._unwritable(problem) from problem
        finally:
            self._making.close()

    def add(self, line: Line) -> None:
        """Append a line.

        Raises:
            DataError: a line with that id was added before.
        """
        if line.id in self._ids:
            raise DataError(f"line id {line.id!r} occurs twice; ids must be unique within a dataset")
        self._ids.add(line.id)
        self._content.update(line.digest())
        self._characters.update(line.text)
        for name in ("split", "source", "language"):
            self._counts[name][getattr(line, name)] += 1
        self._rows.append({f.name: getattr(line, f.name) for f in fields(Line)})
        if len(self._rows) >= self._lines_per_shard:
            try:
                self._flush()
            except OSError as problem:
                raise self._unwritable(problem) from problem

    def quarantine(self, name: str, reason: str, detail: str = "") -> None:
        """Record something that was left out: what, one word why, and the particulars."""
        self._counts["quarantined"][reason] += 1
        self._quarantine.append((name, reason, detail))

    def record(self, **facts: Any) -> None:
        """Say in ``dataset.json`` what the lines came from; values are JSON, later ones replace earlier ones."""
        self._lineage |= facts

    def _unwritable(self, problem: OSError) -> OutputError:
        reason = problem.strerror or str(problem)
        return OutputError(f"{self.path}: cannot be written ({reason}); free the disk or choose another --out")

    def _flush(self) -> None:
        name = f"{SHARDS}/{len(self._shards):05d}.parquet"
        file = self._partial / name
        # Small row groups keep a reader's memory small; images are compressed already, so zstd costs little.
        pq.write_table(
            pa.Table.from_pylist(self._rows, schema=SCHEMA), file, row_group_size=512, compression="zstd"
        )
        self._shards.append({"file": name, "num_lines": len(self._rows), "sha256": file_sha256(file)})
        self._rows = []

    def _finish(self) -> None:
        if self._rows or not self._shards:
            self._flush()
        if self._quarantine:
            # File names need not be Unicode; what is not is shown by its bytes.
            file = self._partial / "quarantine.csv"
            with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
                csv.writer(out).writerows([("name", "reason", "detail"), *self._quarantine])
        info = {
            "format_version": FORMAT_VERSION,
            "num_lines": len(self._ids),
            "digest": f"sha256:{self._content.hexdigest()}",
            "alphabet": "".join(sorted(self._characters)),
            "counts": {name: dict(sorted(counter.items())) for name, counter in self._counts.items()},
            "shards": self._shards,
            **({"lineage": self._lineage} if self._lineage else {}),
        }
        text = json.dumps(info, ensure_ascii=False, indent=2)
        (self._partial / "dataset.json").write_text(text, encoding="utf-8")
        if self.path.is_dir():
            self.path.rmdir()  # empty: checked on entry
        self._partial.replace(self.path)


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
