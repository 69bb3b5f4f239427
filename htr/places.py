"""A folder in, what lies below it that has a format of ours out: known by the files, wherever they lie."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import SettingsError

SKIPPED = {"checkpoints", ".venv", ".git"}
"""Folders that are not looked into: what training resumes from is training's own."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """What lies where below a folder."""

    bundles: list[Path] = field(default_factory=list)
    lines: list[Path] = field(default_factory=list)
    corrections: list[Path] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    decisions: list[Path] = field(default_factory=list)
    registries: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return how many of each there are."""
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}


def find_places(root: Path) -> Places:
    """Look for everything that has a format of ours.

    Raises:
        SettingsError: there is no such folder.
    """
    if not root.is_dir():
        raise SettingsError(
            f"--root {root}: no such folder; give the one that the loop, or the services, write to"
        )
    places = Places()
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders[:] = sorted(one for one in folders if one not in SKIPPED and not one.startswith("."))
        places.links.extend(folder / one for one in (*folders, *files) if (folder / one).is_symlink())
        for file, found in (
            ("bundle.json", places.bundles),
            ("dataset.json", places.lines),
            ("corrections.jsonl", places.corrections),
            ("governor.jsonl", places.journals),
            ("decisions.jsonl", places.decisions),
        ):
            if file in files:
                found.append(folder)
        places.registries.extend(folder / one for one in files if one == "mlflow.db")
        is_log = any(one.endswith(".parquet") and one[:8].isdecimal() and one[8:9] == "T" for one in files)
        if is_log and folder.name != "images":
            places.logs.append(folder)
    return places
