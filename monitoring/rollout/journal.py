"""The rollout's journal, ``STATE/rollout.jsonl``: a record is on disk before anything is done that it decides.

What a kill leaves half-written was never acted on; it is cut off and kept in ``STATE/rollout.torn``.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htr.append_log import AppendLog
from htr.errors import DataError, OutputError, SettingsError
from monitoring.governor.clock import GovernedClock
from monitoring.rollout.records import Event, Record, from_json, to_json
from monitoring.rollout.state import State

FILE = "rollout.jsonl"
LOCK = "rollout.lock"


class Journal:
    """One journal, followed to its end.

    Args:
        folder: the state folder; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = State()
        self.records: list[Record] = []
        self._log = AppendLog(folder / FILE, take=self._take, forget=self._forget)

    def write(self, event: Event, clock: GovernedClock) -> Record:
        """Add a record of what happened; when this returns, it is on disk and part of the state.

        Raises:
            OutputError: it cannot be written; then the state is as it was.
        """
        at = max(clock.at(), self.state.at)
        record = Record(seq=self.state.seq + 1, time=clock.time(), at=at, event=event)
        with self._written(), self._log.appending():
            self._log.append(to_json(record).encode())
        return record

    @contextmanager
    def alone(self) -> "Iterator[Journal]":
        """Keep every other writer out, take in what is there, and yield the journal itself.

        Raises:
            SettingsError: another one is at work there.
            DataError: the journal is damaged or of another format version.
            OutputError: the folder cannot be written.
        """
        with self._written():
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / LOCK).open("ab")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SettingsError(
                    f"{self.folder}: another rollout command is at work there; try again"
                ) from error
            with self._written(), self._log.appending():
                pass
            yield self

    def read(self) -> None:
        """Take in what is there, for looking only; nothing where there is no journal yet.

        Raises:
            DataError: the journal cannot be read, is damaged, or is of another format version.
        """
        try:
            with self._log.reading():
                pass
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DataError(f"{self.folder / FILE}: cannot be read ({error.strerror})") from error

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def _take(self, line: bytes, _place: int) -> None:
        record = from_json(line)
        self.state.apply(record)
        self.records.append(record)

    def _forget(self) -> None:
        self.state = State()
        self.records = []
