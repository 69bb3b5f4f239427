"""A lines dataset -> ``manifest.csv`` and ``images/``; what `import manifest` makes of it has the same digest."""

import csv
from collections.abc import Callable
from pathlib import Path

from htr.exporters.folders import image_name, whole_folder
from htr.lines import LinesDataset

TABLE = "manifest.csv"
COLUMNS = ("file_name", "text", "id", "writer", "page", "language", "source", "split")


def export_table(dataset: LinesDataset, out: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Write the table and the images as they are encoded; return how many lines there are.

    Args:
        dataset: the lines.
        out: the folder to create.
        progress: called with lines done and lines in all.

    Raises:
        DataError: a shard is damaged.
        OutputError: the folder is there already or cannot be written.
    """
    with whole_folder(out) as folder:
        (folder / "images").mkdir()
        with (folder / TABLE).open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(COLUMNS)
            for number, line in enumerate(dataset.lines(), start=1):
                name = image_name(number, line.image)
                (folder / "images" / name).write_bytes(line.image)
                table.writerow([name, *(getattr(line, column) for column in COLUMNS[1:])])
                if progress:
                    progress(number, len(dataset))
    return len(dataset)
