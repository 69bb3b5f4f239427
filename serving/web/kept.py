"""Folders for what the page is given and makes: uploads, drawings, files to take away. Files go after a while."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KEPT_S = 3600
"""Seconds that uploaded and made files are kept."""
SWEPT_S = 300
"""Seconds between two looks for what is older."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One folder of this process, which holds a folder for each file.

    Args:
        root: is there, and holds nothing else.
    """

    root: Path

    def new(self) -> Path:
        """Return a folder for one file."""
        return Path(tempfile.mkdtemp(dir=self.root))


def keep_swept(root: Path, clock: Callable[[], float], wait: Callable[[float], bool]) -> None:
    """Sweep a folder again and again.

    Args:
        root: of this process alone.
        clock: seconds since 1970, as the times of files are.
        wait: waits some seconds, and returns whether to stop.
    """
    while not wait(SWEPT_S):
        sweep(root, clock() - KEPT_S)


def sweep(root: Path, before: float) -> None:
    """Remove files below a folder that are older, whoever made them, and folders that have been empty as long.

    An upload that broke off leaves a file that Gradio forgets, and so does whatever else goes wrong halfway.

    Args:
        root: stays, and so do the folders in it.
        before: seconds since 1970.
    """
    for folder, _, names in os.walk(root, topdown=False):
        with suppress(OSError):  # removed meanwhile, or not empty
            if Path(folder).parent not in {root, root.parent} and Path(folder).lstat().st_mtime < before:
                Path(folder).rmdir()
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):
                if path.lstat().st_mtime < before:
                    path.unlink()
