"""Rows in, Parquet files of the prediction log out, without ever keeping a request waiting.

Requests append to a bounded queue; one thread writes what is queued every few seconds. When the disk refuses, rows
wait in the queue up to its bound and the newest are dropped and counted: serving goes on.
"""

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.errors import OutputError
from htr.prediction_log import SCHEMA

logger = logging.getLogger(__name__)

Row = dict[str, Any]


class PredictionLog:
    """The writing side of `htr.prediction_log`. Safe to append to from several threads.

    Args:
        folder: where the files go; made if it is missing.
        max_rows: rows that may wait to be written; what comes on top is dropped and counted.
        flush_s: longest that a row waits before it is written.
        flush_rows: this many rows are written at once without waiting.
        clock: names the files; with time zone.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_rows: int = 10_000,
        flush_s: float = 2.0,
        flush_rows: int = 2_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if max_rows < 1 or flush_rows < 1 or flush_s <= 0:
            raise ValueError(f"expected numbers above 0, got {max_rows=}, {flush_rows=}, {flush_s=}")
        check_writable(folder)
        self.folder = folder
        self.num_written = 0
        self.num_dropped = 0
        """Rows lost: the queue was full when they came, or they could not be written at the end."""
        self.num_failures = 0
        """Times that the disk refused."""
        self._max_rows = max_rows
        self._flush_s = flush_s
        self._flush_rows = min(flush_rows, max_rows)
        self._clock = clock
        self._rows: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._refused = False
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Rows that wait to be written."""
        return len(self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Queue rows to be written; returns at once, and drops what does not fit."""
        with self._changed:
            free = 0 if self._closing else self._max_rows - len(self._rows)
            self._rows.extend(rows[:free])
            if dropped := max(0, len(rows) - free):
                if self.num_dropped == 0:
                    logger.warning("prediction log is full or closed: dropping rows (reported once, counted on)")
                self.num_dropped += dropped
            if len(self._rows) >= self._flush_rows:
                self._changed.notify()

    def close(self) -> None:
        """Write what is queued and stop; rows that the disk still refuses are counted as dropped."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._rows:
            self.num_dropped += len(self._rows)
            logger.error("prediction log lost %d rows at the end: the disk refused them", len(self._rows))
        logger.info("prediction log: %d rows written, %d dropped", self.num_written, self.num_dropped)

    def _run(self) -> None:
        while True:
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
        stamp = self._clock().astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{stamp}-{os.getpid()}-{next(self._numbers)}.parquet"
        partial = self.folder / f".{name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(batch, schema=SCHEMA), partial)
            partial.replace(self.folder / name)
        except OSError as error:
            self.num_failures += 1
            if self.num_failures == 1 or self.num_failures % 100 == 0:
                logger.warning(
                    "%s: prediction log cannot be written (%s, time %d); free space or fix its rights, rows wait",
                    self.folder, error, self.num_failures,
                )  # fmt: skip
            _remove(partial)
            return False
        except pa.ArrowException:  # a fault of ours, which must not stop the rows to come
            logger.exception("%d rows do not fit the prediction log and are dropped", len(batch))
            _remove(partial)
            self.num_dropped += len(batch)
        else:
            self.num_written += len(batch)
        with self._changed:
            for _ in batch:
                self._rows.popleft()
        return True


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


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s: left behind (%s)", partial, error)
