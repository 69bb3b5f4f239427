"""A folder in, its files and what their places say: for layouts that have no table."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from htr.errors import DataError, SettingsError
from htr.importers.splits import split_named, split_of_group

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif")
WRITER_FROM = ("none", "folder", "page")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the user knows of all lines of a folder, and what its places mean."""

    language: str = ""
    """ISO 639-3 code, or ""."""
    source: str = ""
    """Name of the collection; by default that of the folder."""
    writer_from: str = "none"
    """Who wrote a line: ``folder`` if each folder holds one hand, ``page`` if each page does, else ``none``."""

    def __post_init__(self) -> None:
        if self.writer_from not in WRITER_FROM:
            raise SettingsError(f"writer-from {self.writer_from!r} is not known; choose one of {WRITER_FROM}")

    def writer(self, folder: str, page: str) -> str:
        """Return the writer of a line in a folder and on a page."""
        return {"none": "", "folder": folder, "page": page}[self.writer_from]


def files_under(folder: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """Yield the files below a folder that end so, as POSIX paths within it, in a fixed order.

    Linked folders are not entered and hidden ones passed over.

    Raises:
        DataError: there is no such folder, or one cannot be listed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds the files")

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    for place, below, names in os.walk(folder, onerror=stop):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = PurePosixPath(Path(place).relative_to(folder).as_posix())
        for name in sorted(names):
            if name.lower().endswith(endings) and not name.startswith("."):
                yield (inside / name).as_posix()


def split_at(path: str, group: str) -> str:
    """Return the split that a folder above a file names (train, validation, ...), else that of the group."""
    named = (split_named(part) for part in PurePosixPath(path).parent.parts)
    return next((split for split in named if split), None) or split_of_group(group)


def folder_of(path: str) -> str:
    """Return the folder of a file within its root; "" at the top."""
    parent = PurePosixPath(path).parent.as_posix()
    return "" if parent == "." else parent
