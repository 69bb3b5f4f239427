"""The decision log: every decision about retraining, appended to ``STATE/decisions.jsonl`` and never changed.

A training takes two lines: ``started`` before the pipeline is called, then ``done``, ``submitted`` or ``failed``.
Each line is on disk before the next thing happens. A kill can therefore leave a start without an end, which the
next call sees, or a half-written last line, which stands for something that had not happened yet and is skipped
and counted.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from htr.errors import DataError, OutputError

FORMAT_VERSION = 1
Choice = Literal["ignore", "ask_for_labels", "train"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One line of the log."""

    time: datetime
    cause: str
    """What asked for a decision."""
    verdict: Mapping[str, Any]
    """The drift verdict in short: state, rows, since, until, bundle_digest, names of the drifted features."""
    decision: Choice
    reason: str
    """Why, and what to do about it, for people."""
    key: str
    """SHA-256 over champion and corrections: what one training is for."""
    outcome: Literal["", "started", "done", "submitted", "failed"] = ""
    """Of a training. ``done``: it ran to its end here. ``submitted``: a cluster accepted it, and knows its end."""
    run_id: str = ""
    """Known when the outcome is ``done`` or ``submitted``."""

    def to_json(self) -> str:
        """Return the line, without its end."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self), "time": self.time.isoformat()})


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the log says."""

    decisions: tuple[Decision, ...] = ()
    """Oldest first, in the order of writing: clocks may jump."""
    skipped: tuple[int, ...] = field(default=())
    """Numbers of half-written lines, from 1."""

    def last_training(self, key: str) -> Decision | None:
        """Return the latest word on a training for this key."""
        return next((d for d in reversed(self.decisions) if d.key == key and d.outcome), None)

    def unfinished(self) -> tuple[Decision, ...]:
        """Return the trainings that started and never ended, oldest first."""
        last = {decision.key: decision for decision in self.decisions if decision.outcome}
        return tuple(decision for decision in last.values() if decision.outcome == "started")


class DecisionLog:
    """The log and the lock in one state folder, which is made when first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "decisions.jsonl"

    def read(self) -> History:
        """Read all decisions; a folder without a log has none.

        Raises:
            DataError: the log cannot be read, or is of another format version.
        """
        try:
            with self.file.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH)  # not while somebody is in the middle of a line
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return History()
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read ({error.strerror})") from error
        decisions, skipped = [], []
        for number, line in enumerate(lines, start=1):
            try:
                raw = json.loads(line)
            except ValueError:
                skipped.append(number)
                continue
            decisions.append(self._decision(raw, number))
        return History(decisions=tuple(decisions), skipped=tuple(skipped))

    def append(self, decision: Decision) -> None:
        """Add a line; when this returns it is on disk.

        Raises:
            OutputError: the folder cannot be written.
        """
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab+") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - 1))
                torn = size > 0 and stream.read(1) != b"\n"  # what a kill left unfinished keeps a line of its own
                stream.write(b"\n" * torn + decision.to_json().encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            _sync_folder(self.folder)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the state folder's lock; yields False at once where somebody else holds it.

        The operating system lets go of it with the last process that has it open. It is passed on to child
        processes that are started with ``close_fds=False``: a local pipeline keeps it when its parent is killed.
        """
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / "lock").open("ab")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            os.set_inheritable(stream.fileno(), True)
            yield True

    def _decision(self, raw: Any, number: int) -> Decision:
        try:
            if raw["format_version"] != FORMAT_VERSION:
                raise DataError(
                    f"{self.file}: line {number} has format version {raw['format_version']}, this program reads "
                    f"{FORMAT_VERSION}; use the matching release, or another state folder"
                )
            values = {f.name: raw[f.name] for f in fields(Decision)}
            return Decision(**{**values, "time": datetime.fromisoformat(raw["time"])})
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.file}: line {number} is no decision ({error!r}); restore the file") from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def _sync_folder(folder: Path) -> None:
    """Make the file's name last too; some file systems keep it apart from the content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
