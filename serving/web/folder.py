"""A folder of pages and lines in, a queue of its lines out, filled while the page is in use already."""

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import ImageError, QuillflowError, SettingsError
from htr.layout.files import SUFFIXES
from serving.client import RefusedError, StrangeAnswerError, UnreachableError
from serving.client_wire import TIMED_OUT
from serving.web.corrected import corrected_lines
from serving.web.plain_words import plain
from serving.web.queue import Queue, key_of
from serving.web.reader import AUTOMATIC, Reader

logger = logging.getLogger(__name__)

MAX_LINES = 2000
MAX_BYTES = 256 * 1024 * 1024
"""Lines, and bytes of their pictures, that are kept in memory; what lies in the folder beyond that is not read."""
RETRY_S = 10.0
SLOW_TRIES = 3
"""Times that a file is sent which takes longer than server or page allow; the others come after it."""


@dataclass(slots=True)
class Folder:
    """Reads the pages and lines of a folder by the server, one after another, into a queue.

    The seed draws their order from their names, so that what does not fit is no different from what does. Lines
    that were corrected already, by their image, are left out.

    Args:
        path: the folder; what lies in folders of it belongs to it.
        reader: asks the server.
        queue: takes the lines.
        seed: draws the order.
        wait: waits some seconds, and returns whether to stop.
        kind: what all of its pictures are, AUTOMATIC, PAGE or LINE of `serving.web.reader`.
    """

    path: Path
    reader: Reader
    queue: Queue
    seed: int
    wait: Callable[[float], bool]
    kind: str = AUTOMATIC
    state: str = "The folder has not been read yet."
    """One sentence for the person at the page."""
    _num_bytes: int = 0
    _num_lines: int = 0
    _failed: list[str] = field(default_factory=list)

    def start(self) -> threading.Thread:
        """Begin to read in a thread that ends with the process."""
        thread = threading.Thread(target=self.read, name="queue", daemon=True)
        thread.start()
        return thread

    def read(self) -> None:
        """Read everything; what fails is logged and told by `state`."""
        try:
            files = self.files()
            corrected = self._corrected()
            for number, file in enumerate(files):
                self.state = f"Reading the folder: {number} of {len(files)} files."
                if self._is_full():
                    logger.warning("%s: full after %d of %d files", self.path, number, len(files))
                    break
                self._read_file(file, corrected)
        except _StoppedError:
            return
        except QuillflowError as error:
            logger.error("%s: %s", self.path, error)  # noqa: TRY400 - a fault of what is there, not of ours
            self.state = plain(error)
            return
        self.state = f"{len(self._failed)} files of the folder could not be read." if self._failed else ""

    def files(self) -> list[Path]:
        """Return the files to read, in their order.

        Raises:
            SettingsError: there is no such folder.
        """
        if not self.path.is_dir():
            raise SettingsError(f"--queue {self.path}: there is no such folder; name one with pages or lines")
        found = [p for p in self.path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        return sorted(found, key=lambda p: (self._draw(p.relative_to(self.path)), p))

    def _draw(self, path: Path) -> bytes:
        return hashlib.sha256(f"{self.seed}\n{path.as_posix()}".encode("utf-8", "surrogateescape")).digest()

    def _corrected(self) -> set[str]:
        while True:
            try:
                return corrected_lines(self.reader.client, self.queue.is_control)
            except UnreachableError as error:
                self._pause(error)

    def _read_file(self, file: Path, corrected: set[str]) -> None:
        num_slow = 0
        while True:
            try:
                work = self.reader.read_file(file, kind=self.kind)
                lines = [line for sheet in work.sheets for line in sheet.lines if key_of(line) not in corrected]
                self.queue.add(lines)
            except UnreachableError as error:
                num_slow += self._is_slow(error)
                if num_slow == SLOW_TRIES:  # a server that is away or busy is waited for; this is the file
                    self._leave_out(file, error)
                    return
                self._pause(error)
            except (RefusedError, ImageError) as error:
                self._leave_out(file, error)
                return
            else:
                self._num_lines += len(lines)
                self._num_bytes += sum(len(line.seen.image) for line in lines)
                return

    def _is_slow(self, error: UnreachableError) -> bool:
        """Return whether it is the file: the server says so, or was silent and answers another question."""
        if error.code != TIMED_OUT:
            return error.code == "too_slow"
        try:
            self.reader.client.corrections(limit=1)
        except RefusedError:  # it takes none, and is there to say so
            return True
        except (UnreachableError, StrangeAnswerError):  # of a proxy before it, say
            return False
        return True

    def _leave_out(self, file: Path, error: QuillflowError) -> None:
        logger.warning("%s: %s", file, error)
        self._failed.append(file.name)

    def _is_full(self) -> bool:
        return self._num_lines >= MAX_LINES or self._num_bytes >= MAX_BYTES

    def _pause(self, error: UnreachableError) -> None:
        self.state = plain(error)
        if self.wait(max(error.after_s, RETRY_S)):
            raise _StoppedError


class _StoppedError(Exception):
    """The process ends."""
