"""A file of lines that only grows: safe to kill at any moment, and for several processes to append to at once.

A line is on disk before `AppendLog.append` returns. What a crash leaves half-written at the end was therefore
never acknowledged: readers ignore it, and the next writer cuts it off and keeps it beside the log, in
``NAME.torn``. Damage anywhere else is an error, which nothing here mends.

Who follows a log reads what is new of it, and all of it only where another file took its place.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from htr.errors import DataError

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**18
"""So much of the file is in memory at once, or its longest line."""


class DamagedLineError(DataError):
    """A line is not what was written: cut off, or altered."""


class AppendLog:
    """One such file. It is followed line by line; not to be used by two threads at once.

    Args:
        file: made when first appended to; its folder must be there.
        take: told every whole line and where it begins, in order; raises DamagedLineError where it is not whole.
        forget: told that another file took the place of the one that was followed, and all lines come anew.
    """

    def __init__(self, file: Path, *, take: Callable[[bytes, int], None], forget: Callable[[], None]) -> None:
        self.file = file
        self._take = take
        self._forget = forget
        self._log: BinaryIO | None = None
        self._inode = 0
        self._end = 0
        """End of the last line that was taken, in bytes."""
        self._num_lines = 0
        self._last = (0, 0, _digest(b""))
        """The last line that was taken: where it begins, its length, its digest."""

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Hold the file alone, taken in and whole to its end; when the block has ended, all of it is on disk.

        Raises:
            DataError: a line is damaged that is not the last, or ``take`` refuses one.
            OSError: the file cannot be written.
        """
        with self._open_locked("ab+", fcntl.LOCK_EX) as self._log:
            self._catch_up()
            self._cut_torn_end()
            yield
            os.fsync(self._log.fileno())  # also what another process wrote and did not live to acknowledge
        sync_folder(self.file.parent)

    def _open_locked(self, mode: Literal["ab+", "rb"], lock: int) -> BinaryIO:
        """Return the file, held; while it was waited for, another one may have taken its name."""
        while True:
            log = self.file.open(mode, buffering=0)
            fcntl.flock(log, lock)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(log.fileno()), self.file.stat()):
                    return log
            log.close()

    def replace(self, lines: Iterable[bytes]) -> None:
        """Within `appending`: put a file of other lines in this one's place; whoever follows it looks anew."""
        partial = self.file.with_name(f".{self.file.name}.partial")
        with partial.open("wb") as out:
            out.writelines(line + b"\n" for line in lines)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(self.file)
        sync_folder(self.file.parent)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the file against writers, taken in to its end.

        Raises:
            DataError: as in `appending`.
            OSError: the file cannot be read; FileNotFoundError where there is none yet, or none any more.
        """
        try:
            log = self._open_locked("rb", fcntl.LOCK_SH)
        except FileNotFoundError:
            self._begin_anew(0)  # the very same file may come back, as a disk that was away does
            raise
        with log as self._log:
            self._catch_up()
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """As `reading`, but writers are let in again: what was taken in stays what it is, whatever they do."""
        with self.reading():
            fcntl.flock(self._opened(), fcntl.LOCK_UN)
            yield

    def append(self, line: bytes) -> None:
        """Within `appending`: add a line. It is taken like any other; a failure leaves the file as it was."""
        log = self._opened()
        data = line + b"\n"
        try:
            while data:
                data = data[log.write(data) :]
            os.fsync(log.fileno())
        except OSError:
            with suppress(OSError):  # or the next writer cuts it off
                log.truncate(self._end)
            raise
        self._catch_up()

    def line_at(self, place: int, size: int) -> bytes:
        """Within one of the three: return ``size`` bytes from a place that ``take`` was told."""
        log = self._opened()
        log.seek(place)
        found = b""
        while len(found) < size and (more := log.read(size - len(found))):  # one read gives 2 GiB at most
            found += more
        return found

    def _opened(self) -> BinaryIO:
        assert self._log is not None, "within appending, reading or snapshot only"  # noqa: S101 - a fault of ours
        return self._log

    def _catch_up(self) -> None:
        """Take in what was added since, by this process or another; stop before a half-written end."""
        status = os.fstat(self._opened().fileno())
        # The number of a file that is gone is given to a new one: the line that was taken last must be there, too.
        is_ours = status.st_ino == self._inode and status.st_size >= self._end
        if not is_ours or _digest(self.line_at(*self._last[:2])) != self._last[2]:
            self._begin_anew(status.st_ino)
        read, rest = self._end, b""
        while read < status.st_size:
            block = self.line_at(read, min(BLOCK_BYTES, status.st_size - read))
            if not block:  # somebody who asks for no lock has made it shorter
                return
            read += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if not self._took(line, is_last=self._end + len(line) + 1 == status.st_size):
                    return

    def _begin_anew(self, inode: int) -> None:
        self._inode, self._end, self._num_lines, self._last = inode, 0, 0, (0, 0, _digest(b""))
        self._forget()

    def _took(self, line: bytes, *, is_last: bool) -> bool:
        """Take a line; return False where it is none yet."""
        try:
            self._take(line, self._end)
        except DataError as error:
            # Some file systems make a file longer before they fill it: a torn line may have an end, and holes.
            if isinstance(error, DamagedLineError) and is_last:
                return False
            raise DataError(
                f"{self.file}: line {self._num_lines + 1}: {error}; restore the file from a backup"
            ) from error
        self._last = (self._end, len(line), _digest(line))
        self._end += len(line) + 1
        self._num_lines += 1
        return True

    def _cut_torn_end(self) -> None:
        log = self._opened()
        torn = self.line_at(self._end, log.seek(0, os.SEEK_END) - self._end)
        if not torn:
            return
        with self.file.with_suffix(".torn").open("ab") as kept:
            kept.write(torn + b"\n")
            kept.flush()
            os.fsync(kept.fileno())
        log.truncate(self._end)
        logger.warning("%s: cut off a half-written line of %d bytes, never acknowledged", self.file, len(torn))


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def write_durably(file: Path, data: bytes) -> None:
    """Write a small file whole or not at all; when this returns, it is on disk. One writer at a time."""
    partial = file.with_name(".partial")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last, too; some file systems keep them apart from the content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
