"""Folders for what the page makes: a drawing, a file to take away. They are gone after a while."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KEPT_S = 3600
"""Seconds that uploaded and made files are kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One folder of this process, which holds a folder for each file.

    Args:
        root: is there, and holds nothing else.
        clock: seconds since 1970, as the times of files are.
    """

    root: Path
    clock: Callable[[], float]

    def new(self) -> Path:
        """Return a folder for one file, and remove those of files that were kept long enough."""
        for old in self.root.iterdir():
            try:
                if old.stat().st_mtime < self.clock() - KEPT_S:
                    shutil.rmtree(old, ignore_errors=True)
            except FileNotFoundError:  # somebody else's request removed it
                continue
        return Path(tempfile.mkdtemp(dir=self.root))
