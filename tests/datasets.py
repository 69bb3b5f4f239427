"""Lines datasets for tests: written the proper way, or altered as another program might do it."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.lines import Line, LinesDataset, LinesWriter, file_sha256
from tests.conftest import make_line

Rows = list[dict[str, Any]]


def write_lines(path: Path, lines: Iterable[Line]) -> LinesDataset:
    """Write lines as a dataset, and open it."""
    with LinesWriter(path) as writer:
        for line in lines:
            writer.add(line)
    return LinesDataset.open(path)


def sound_lines(*, num_train: int = 24, num_held_out: int = 20) -> list[Line]:
    """Return lines that nothing is wrong with: every split is there, and no writer is in two of them."""
    sizes = {"train": num_train, "val": num_held_out, "test": num_held_out}
    splits = [split for split, size in sizes.items() for _ in range(size)]
    return [
        make_line(f"zwei {number:03d} baum", number, split=split, writer=f"{split}-{number % 3}")
        for number, split in enumerate(splits)
    ]


def rewrite(
    dataset: LinesDataset, change: Callable[[Rows], Rows], schema: pa.Schema | None = None
) -> LinesDataset:
    """Alter the rows of a dataset of one shard in place, and its ``dataset.json`` with them.

    Args:
        dataset: what to alter.
        change: old rows in, new rows out; they need not make proper lines.
        schema: of the new rows; found from them by default.
    """
    (shard,) = dataset.info.shards
    file = dataset.path / shard["file"]
    rows = change(pq.read_table(file).to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    meta = dataset.path / "dataset.json"
    info = json.loads(meta.read_text(encoding="utf-8"))
    info["num_lines"] = len(rows)
    info["shards"] = [{"file": shard["file"], "num_lines": len(rows), "sha256": file_sha256(file)}]
    meta.write_text(json.dumps(info), encoding="utf-8")
    return LinesDataset.open(dataset.path)
