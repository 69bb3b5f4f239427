"""Lines datasets, written anew without somebody's lines; and the files of decoded lines made from them."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from htr.erasure.found import Found
from htr.erasure.marks import Marks
from htr.errors import SettingsError
from htr.lines import CORRECTIONS, LinesDataset, LinesWriter
from htr.tombstones import hashed

ERASING = "erasing"
"""Ends the name of a folder that is being written anew."""


def erase_lines(folder: Path, marks: Marks, time: datetime, found: Found, *, dry_run: bool) -> set[str]:
    """Write a dataset anew without somebody's lines; return the ids of those."""
    dataset = LinesDataset.open(folder)
    gone = {line.id for line in dataset.lines() if marks.is_line(line)}
    if not gone:
        return set()
    found.lines += len(gone)
    found.datasets.append(str(folder))
    if not dry_run:
        fresh = folder.with_name(f"{folder.name}.{ERASING}")
        shutil.rmtree(fresh, ignore_errors=True)
        with LinesWriter(fresh) as writer:
            for line in dataset.lines():
                if line.id not in gone:
                    writer.add(line)
            stones = sorted(hashed(name) for name in gone)
            told = {"time": time.isoformat(), "lines": len(gone), "tombstones": stones, "was": dataset.digest}
            facts: dict[str, Any] = dict(dataset.info.lineage)
            writer.record(**facts | {"erased": [*facts.get("erased", []), told]})
        old = folder.with_name(f".{folder.name}.{ERASING}")
        folder.replace(old)
        fresh.replace(folder)
        shutil.rmtree(old)
    return gone


def end_what_was_begun(root: Path) -> None:
    """Bring back, or clear away, what an erasure that was killed had put aside."""
    if not root.is_dir():
        raise SettingsError(f"--root {root}: no such folder")
    for old in root.rglob(f".*.{ERASING}"):
        name = old.with_name(old.name[1:].removesuffix(f".{ERASING}"))
        if name.exists():
            shutil.rmtree(old)
        else:
            old.replace(name)
    for fresh in root.rglob(f"*.{ERASING}"):
        shutil.rmtree(fresh)


def erase_caches(root: Path, names: set[str], found: Found, *, dry_run: bool) -> None:
    """Remove files of decoded lines that hold one of these ids; training makes them again."""
    for file in root.rglob("*.ink"):
        beside = file.with_suffix(".json")
        try:
            ids = set(json.loads(beside.read_text(encoding="utf-8")).get("ids", []))
        except (OSError, ValueError):
            ids = set()
        if ids & names or {one.removeprefix(f"{CORRECTIONS}/") for one in ids} & names:
            found.caches += 1
            if not dry_run:
                file.unlink()
                beside.unlink()
