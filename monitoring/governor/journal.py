"""The journal: every record that the governor wrote, in ``STATE/governor.jsonl``, and the state they add up to.

A record is on disk before `Journal.write` returns, and nothing is done outside before its record is. What a kill
leaves half-written was never acted on; it is cut off and kept in ``STATE/governor.torn``.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from htr.append_log import AppendLog
from htr.errors import DataError, OutputError, SettingsError
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Decision, Event, Record, from_json, to_json
from monitoring.governor.state import State

FILE = "governor.jsonl"
LOCK = "governor.lock"


class Journal:
    """One journal, followed to its end. Not to be used by two threads at once.

    Args:
        folder: the state folder; made when first written to.
        on_record: told every record as it is taken in.
    """

    def __init__(self, folder: Path, *, on_record: Callable[[Record], None] = lambda record: None) -> None:
        self.folder = folder
        self.state = State()
        self._on_record = on_record
        self._log = AppendLog(folder / FILE, take=self._take, forget=self._forget)

    def open(self) -> None:
        """Make the folder and the file if need be, repair what a crash left, and read what is there.

        Raises:
            DataError: the journal is damaged or of another format version.
            OutputError: the folder cannot be written.
        """
        with self._written():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._log.appending():
                pass

    def write(self, record: Record) -> None:
        """Add a record; when this returns, it is on disk and part of the state.

        Raises:
            OutputError: it cannot be written; then the state is as it was.
        """
        with self._written(), self._log.appending():
            self._log.append(to_json(record).encode())

    def record(self, event: Event, decision: Decision, *, clock: GovernedClock) -> Record:
        """Return the record that comes next."""
        at = max(clock.at(), self.state.at)
        return Record(seq=self.state.seq + 1, time=clock.time(), at=at, event=event, decision=decision)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other governor out of the folder; the operating system lets go when the process ends.

        Raises:
            SettingsError: another one is at work there.
        """
        with self._written():
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / LOCK).open("ab")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SettingsError(f"{self.folder}: another governor is at work on it; stop it first") from error
            yield

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
        try:
            self.state.apply(record)
        except ValueError as error:
            raise DataError(str(error)) from error
        self._on_record(record)

    def _forget(self) -> None:
        self.state = State()


def read_journal(folder: Path) -> list[Record]:
    """Return all records, oldest first; none where there is no journal yet.

    Raises:
        DataError: the journal cannot be read, is damaged, or is of another format version.
    """
    found: list[Record] = []
    log = AppendLog(folder / FILE, take=lambda line, _: found.append(from_json(line)), forget=found.clear)
    try:
        with log.reading():
            return found
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder / FILE}: cannot be read ({error.strerror})") from error
