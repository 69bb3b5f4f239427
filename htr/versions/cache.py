"""Files of a store, kept on this machine while there is room: verified, bounded, shared by processes.

FOLDER/HEX64           a file, by its SHA-256; whoever reads it holds a shared lock on it
FOLDER/HEX64.partial   one on its way
FOLDER/lock-HH         held by whoever brings a file of these first two digits
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from htr.errors import OutputError, SettingsError
from htr.lines import file_sha256
from htr.tenants import Tenant
from htr.versions.fetching import receive
from htr.versions.objects import Objects
from htr.versions.records import StoredFile

FOLDER_VARIABLE, SIZE_VARIABLE = "QUILLFLOW_CACHE", "QUILLFLOW_CACHE_GB"
DEFAULT_GB = 20.0


class FileCache:
    """A folder of files by their digest.

    Args:
        folder: made when missing; several processes may share it.
        max_bytes: what is kept at most, beside what is being read just now.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._verified: set[tuple[int, int, int]] = set()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "FileCache":
        """Return the cache that the environment names: QUILLFLOW_CACHE, of QUILLFLOW_CACHE_GB gigabytes.

        A tenant has one of its own: who may write a manifest could otherwise read a file of others by its digest.

        Raises:
            SettingsError: the size is none.
        """
        home = environment.get("XDG_CACHE_HOME", "") or str(
            Path(environment.get("HOME", "~")).expanduser() / ".cache"
        )
        folder = Path(environment.get(FOLDER_VARIABLE, "") or Path(home) / "quillflow")
        try:
            gigabytes = float(environment.get(SIZE_VARIABLE, "") or DEFAULT_GB)
        except ValueError:
            gigabytes = -1.0
        if not 0.0 <= gigabytes < 1e9:
            raise SettingsError(f"{SIZE_VARIABLE} must be a number of gigabytes, such as 20")
        return cls(Tenant.of(environment).cache(folder), int(gigabytes * 1e9))

    @contextmanager
    def file(self, objects: Objects, wanted: StoredFile, shown: str) -> Iterator[Path]:
        """Give a file to read, fetched where it is not here; it stays until the block ends.

        Args:
            objects: where it comes from.
            wanted: which.
            shown: what it is called in an error.

        Raises:
            AlteredError: the store's bytes differ from their digest.
            OutputError: the cache cannot be written.
            StoreError: the store is away or refuses.
        """
        path = self.folder / wanted.sha256
        try:
            while (stream := self._held(path, wanted)) is None:
                self._bring(objects, wanted, path, shown)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written ({error.strerror}); free the disk or set {FOLDER_VARIABLE}"
            ) from error
        with stream:
            yield path

    def _held(self, path: Path, wanted: StoredFile) -> BinaryIO | None:
        """Open a file that is here and right, locked against removal; None where there is none."""
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(stream, fcntl.LOCK_SH)
        status = os.fstat(stream.fileno())
        if status.st_nlink == 0:  # removed between opening and locking
            stream.close()
            return None
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        if identity not in self._verified:  # the disk, too, may alter what it keeps
            if status.st_size != wanted.size or file_sha256(path) != wanted.sha256:
                path.unlink(missing_ok=True)
                stream.close()
                return None
            self._verified.add(identity)
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
        return stream

    def _bring(self, objects: Objects, wanted: StoredFile, path: Path, shown: str) -> None:
        """Fetch a file, unless another process does so first; then make room."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"lock-{wanted.sha256[:2]}").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return
            self._make_room(wanted.size)
            partial = path.with_suffix(".partial")
            receive(objects, wanted, partial, shown=shown, on_bytes=lambda _: None)
            partial.replace(path)

    def _make_room(self, num_bytes: int) -> None:
        """Remove what was not used for longest, until so many bytes more are within the bound."""
        found = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_atime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found) + num_bytes
        for _, size, path in sorted(found):
            if total <= self._max_bytes:
                return
            if len(path.name) == 64 and _remove_unread(path):
                total -= size


def _remove_unread(path: Path) -> bool:
    """Remove a file that nobody is reading; return whether it is gone."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True
