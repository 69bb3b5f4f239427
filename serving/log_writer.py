"""Rows in, Parquet files out, without ever keeping a request waiting; old files are removed.

Requests append to a bounded queue; one thread writes what is queued every few seconds. When the disk refuses or is
slow, rows wait in the queue up to its bounds and the newest are dropped and counted: serving goes on. A file has
its name only when it is complete, so that a killed process leaves no file that cannot be read.
"""

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import OutputError

logger = logging.getLogger(__name__)

Row = dict[str, Any]
STAMP = "%Y%m%dT%H%M%S.%fZ"
PRUNE_EVERY = timedelta(hours=1)
ABANDONED = timedelta(hours=1)
"""Age from which on a file that was never finished is taken for that of a killed process."""


class LogWriter:
    """The writing side of one log. Safe to append to from several threads.

    Args:
        folder: where the files go; made if it is missing.
        schema: of the rows.
        what: the log's name in messages.
        max_rows: rows that may wait to be written; what comes on top is dropped and counted.
        max_bytes: the same for their sizes together.
        size: bytes that a row takes, as far as they matter.
        complete: adds to a row, just before it is written, what takes too long while a request waits.
        flush_s: longest that a row waits before it is written.
        flush_rows: this many rows are written at once without waiting.
        keep: files of rows older than this are removed; None keeps them for good.
        clock: names the files; with time zone.
        write: writes a table to a file.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        *,
        what: str,
        max_rows: int,
        max_bytes: int = 1,
        size: Callable[[Row], int] = lambda _: 0,
        complete: Callable[[Row], Row] = lambda row: row,
        flush_s: float = 2.0,
        flush_rows: int = 2_000,
        keep: timedelta | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        write: Callable[[pa.Table, Path], object] = pq.write_table,
    ) -> None:
        if max_rows < 1 or max_bytes < 1 or flush_rows < 1 or flush_s <= 0:
            raise ValueError(f"expected numbers above 0, got {max_rows=}, {max_bytes=}, {flush_rows=}, {flush_s=}")
        check_writable(folder)
        self.folder = folder
        self.num_written = 0
        self.num_dropped = 0
        """Rows lost: the queue was full when they came, or they could not be written at the end."""
        self.num_failures = 0
        """Times that the disk refused."""
        self._schema = schema
        self._what = what
        self._max_rows, self._max_bytes, self._size = max_rows, max_bytes, size
        self._complete = complete
        self._flush_s = flush_s
        self._flush_rows = min(flush_rows, max_rows)
        self._keep = keep
        self._clock = clock
        self._write_table = write
        self._rows: deque[Row] = deque()
        self._num_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._refused = False
        self._pruned: datetime | None = None
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, name=what.replace(" ", "-"), daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Rows that wait to be written."""
        return len(self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Queue rows to be written; returns at once, and drops what does not fit."""
        sizes = [self._size(row) for row in rows]
        with self._changed:
            num_kept = 0
            for row, size in zip(rows, sizes, strict=True):
                full = len(self._rows) >= self._max_rows or self._num_bytes + size > self._max_bytes
                if self._closing or full:
                    break
                self._rows.append(row)
                self._num_bytes += size
                num_kept += 1
            self.drop(len(rows) - num_kept)
            if len(self._rows) >= self._flush_rows:
                self._changed.notify()

    def drop(self, count: int) -> None:
        """Count rows that are lost."""
        with self._changed:
            if count and not self.num_dropped:
                logger.warning("%s is full or closed: dropping rows (reported once, counted on)", self._what)
            self.num_dropped += count

    def close(self) -> None:
        """Write what is queued and stop; rows that the disk still refuses are counted as dropped."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._rows:
            with self._changed:
                self.num_dropped += len(self._rows)
            logger.error("%s lost %d rows at the end: the disk refused them", self._what, len(self._rows))
        logger.info("%s: %d rows written, %d dropped", self._what, self.num_written, self.num_dropped)

    def _run(self) -> None:
        while True:
            self._prune()
            with self._changed:
                self._changed.wait_for(self._due, timeout=self._flush_s)
                closing = self._closing
                batch = list(self._rows)
            self._refused = bool(batch) and not self._write(batch)
            if closing:
                return

    def _due(self) -> bool:
        # After a refusal wait the full time: a full queue must not make a busy loop.
        return self._closing or (not self._refused and len(self._rows) >= self._flush_rows)

    def _write(self, batch: list[Row]) -> bool:
        """Write one file; the rows leave the queue only when it is complete. Returns False if the disk refused."""
        name = f"{self._clock().astimezone(UTC).strftime(STAMP)}-{os.getpid()}-{next(self._numbers)}.parquet"
        partial = self.folder / f".{name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            rows = [self._complete(row) for row in batch]
            self._write_table(pa.Table.from_pylist(rows, schema=self._schema), partial)
            partial.replace(self.folder / name)
        except OSError as error:
            self.num_failures += 1
            if self.num_failures == 1 or self.num_failures % 100 == 0:
                logger.warning(
                    "%s: %s cannot be written (%s, time %d); free space or fix its rights, rows wait",
                    self.folder, self._what, error, self.num_failures,
                )  # fmt: skip
            _remove(partial)
            return False
        except pa.ArrowException:  # a fault of ours, which must not stop the rows to come
            logger.exception("%d rows do not fit the %s and are dropped", len(batch), self._what)
            _remove(partial)
            self.drop(len(batch))
        else:
            self.num_written += len(batch)
        with self._changed:
            for row in batch:
                self._rows.popleft()
                self._num_bytes -= self._size(row)
        return True

    def _prune(self) -> None:
        """Remove files that are older than they may be, and what killed processes left unfinished."""
        now = self._clock()
        if self._pruned is not None and now - self._pruned < PRUNE_EVERY:
            return
        self._pruned = now
        try:
            files = list(self.folder.glob("*.parquet"))  # glob finds names that begin with a dot, too
        except OSError as error:
            logger.warning("%s: cannot be looked through for old files (%s)", self.folder, error)
            return
        for file in files:
            written = _written(file)
            if written is None:  # not ours
                continue
            limit = ABANDONED if file.name.startswith(".") else self._keep
            if limit is not None and now - written > limit:
                _remove(file)


def check_writable(folder: Path) -> None:
    """Make the folder if need be and try to write in it.

    Raises:
        OutputError: it cannot be made or written.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: prediction log cannot be written there ({error.strerror}); give another --log-dir"
        ) from error


def _written(file: Path) -> datetime | None:
    """Return when a file of ours was written, by its name: times of files change when they are copied."""
    try:
        return datetime.strptime(file.name.removeprefix(".").split("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s: left behind (%s)", file, error)
