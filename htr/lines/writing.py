"""Lines in, a lines dataset on disk out; of what was written no more than a hash of each id stays in memory."""

import csv
import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import DataError, OutputError
from htr.lines.format import FORMAT_VERSION, SCHEMA, SHARDS, Line, file_sha256
from htr.lines.seen import Seen
from htr.making import partial_folder


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
        self._ids = Seen()
        self._characters: set[str] = set()
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("split", "source", "language", "quarantined")
        }
        self._quarantine: TextIO | None = None
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
            if self._quarantine:
                self._quarantine.close()
            self._making.close()

    def __len__(self) -> int:
        """Return how many lines were added."""
        return len(self._ids)

    def holds(self, line_id: str) -> bool:
        """Tell whether a line of that id was added."""
        return line_id in self._ids

    def add(self, line: Line) -> None:
        """Append a line.

        Raises:
            DataError: a line with that id was added before.
        """
        if not self._ids.add(line.id):
            raise DataError(f"line id {line.id!r} occurs twice; ids must be unique within a dataset")
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
        try:
            if self._quarantine is None:
                # File names need not be Unicode; what is not is shown by its bytes.
                self._quarantine = (self._partial / "quarantine.csv").open(
                    "w", encoding="utf-8", errors="backslashreplace", newline=""
                )
                csv.writer(self._quarantine).writerow(("name", "reason", "detail"))
            csv.writer(self._quarantine).writerow((name, reason, detail))
        except OSError as problem:
            raise self._unwritable(problem) from problem

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
            self._quarantine.close()
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
