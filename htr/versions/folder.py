"""Versions in a folder: the same keys as in S3, as files.

A file appears by a rename, when all of it is on disk. Who writes a manifest or the index holds the store's lock.
What a killed process left half-written lies in ``partial/`` and is removed by the next one that publishes.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from htr.append_log import sync_folder
from htr.errors import DataError, StoreError
from htr.versions.addresses import folder_of
from htr.versions.objects import Kept, OnBytes, Stored
from htr.versions.records import MAX_BYTES

_PIECE = 1 << 20


class FolderObjects:
    """See `htr.versions.objects.Objects`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._root = folder_of(uri)

    def prepare(self) -> None:
        """Make the folder, and remove what killed processes left half-written."""
        with self._failures():
            (self._root / "partial").mkdir(parents=True, exist_ok=True)
            for left in (self._root / "partial").iterdir():
                with suppress(OSError), left.open("rb") as stream:  # another may clean up as well
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its writer lives
                    left.unlink()

    def read(self, key: str) -> Stored | None:
        """Return a small file."""
        with self._failures():
            try:
                with (self._root / key).open("rb") as stream:
                    data = stream.read(MAX_BYTES + 1)
            except FileNotFoundError:
                return None
        if len(data) > MAX_BYTES:
            raise StoreError(f"{self.uri}/{key}: larger than {MAX_BYTES >> 20} MiB, which no index or manifest is")
        return Stored(data=data, tag=hashlib.sha256(data).hexdigest())

    def write(self, key: str, data: bytes, *, replacing: str | None) -> bool:
        """Write a small file under the store's lock, if what is there is what was expected."""
        with self._failures(), self._locked():
            found = self.read(key)
            if (found.tag if found else None) != replacing:
                return False
            with self._partial() as (partial, out):
                out.write(data)
                self._publish(out, partial, self._root / key)
        return True

    def size(self, key: str) -> int | None:
        """Return a file's size."""
        with self._failures():
            try:
                return (self._root / key).stat().st_size
            except FileNotFoundError:
                return None

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        """Copy a file into the store."""
        digest = hashlib.sha256()
        with self._failures(), self._partial() as (partial, out):
            with file.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
                    out.write(piece)
                    on_bytes(len(piece))
            if digest.hexdigest() != sha256:
                raise DataError(f"{file}: changed while it was being published; publish again")
            self._publish(out, partial, self._root / key)

    def remove(self, key: str) -> None:
        """Remove a file, and its folder where that is empty then."""
        with self._failures(), self._locked():
            place = self._root / key
            place.unlink(missing_ok=True)
            if place.parent.is_dir():
                sync_folder(place.parent)
                with suppress(OSError):  # others are in it
                    place.parent.rmdir()

    def keeps_removed(self) -> bool:
        """Return False: a folder keeps nothing; its file system's snapshots are beyond us."""
        return False

    def kept(self, prefix: str) -> Iterator[Kept]:
        """Yield every file below a folder."""
        yield from self._found(self._root / prefix)

    def begun(self) -> Iterator[Kept]:
        """Yield what lies in ``partial/``."""
        yield from self._found(self._root / "partial")

    def _found(self, folder: Path) -> Iterator[Kept]:
        with self._failures():
            for path in sorted(folder.rglob("*")):
                with suppress(FileNotFoundError):  # removed, or moved into place, meanwhile
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode):
                        key = path.relative_to(self._root).as_posix()
                        time = datetime.fromtimestamp(status.st_mtime, UTC)
                        yield Kept(key=key, size=status.st_size, time=time)

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        """Yield a file's bytes."""
        with self._failures(), (self._root / key).open("rb") as stream:
            stream.seek(start)
            while piece := stream.read(_PIECE):
                yield piece

    @contextmanager
    def _partial(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A file to fill, locked for as long as its writer lives."""
        folder = self._root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            partial = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
            with partial.open("xb") as out:
                fcntl.flock(out, fcntl.LOCK_EX)
                if os.fstat(out.fileno()).st_nlink == 0:
                    continue  # another cleaned up between its making and its locking
                try:
                    yield partial, out
                finally:
                    partial.unlink(missing_ok=True)
                return

    def _publish(self, out: BinaryIO, partial: Path, place: Path) -> None:
        out.flush()
        os.fsync(out.fileno())
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(place)
        sync_folder(place.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Tell what the file system refuses as the store's failure."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            advice = "free the disk" if error.errno == errno.ENOSPC else "check the folder and its rights"
            raise StoreError(f"{self.uri}: {reason}; {advice}") from error
