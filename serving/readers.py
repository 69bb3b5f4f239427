"""Reading in processes of their own: each core reads at full speed, whatever Python's lock does to threads.

Decoding a line is much Python, which one process runs on one core at a time. So a server of several readers gives
each a process (`serving.reader_process`), and keeps for itself what must be one: who may ask, the queue, the
prediction log. A reader that dies or does not answer costs the one request that it read.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htr.errors import BundleError, ImageError, ServiceError
from htr.image import Decoded
from htr.recogniser import Observation
from serving.reader_wire import observation, receive, send

CODE = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0


class ReaderFailedError(Exception):
    """A reader died, did not answer in time, or failed in a way that nobody foresaw; for our log only."""


class Readers:
    """A few processes that read. Safe to use from several threads.

    Args:
        number: of processes.
        max_seconds: a reader that takes longer for one image is killed.

    Raises:
        ServiceError: a process cannot be started.
    """

    def __init__(self, number: int, *, max_seconds: float = 30.0) -> None:
        self._readers = [_Reader(max_seconds) for _ in range(number)]
        self._free = list(self._readers)
        self._changed = threading.Condition()

    def load(self, bundle: Path) -> "RemoteRecogniser":
        """Load a bundle in every process, one after the other; the others read on meanwhile.

        Raises:
            BundleError: missing, incomplete, altered, or of another version.
            ReaderFailedError: a process died of it.
        """
        digests = set()
        for reader in self._readers:
            with self._taken(reader):
                digests.add(reader.load(bundle.absolute()))
        if len(digests) != 1:
            raise BundleError(f"{bundle}: was exchanged while it was loaded; leave it alone, and try again")
        return RemoteRecogniser(self, bundle.absolute(), digests.pop())

    def observe(self, asked: dict[str, Any], image: bytes) -> Observation:
        """Have one image read by whichever process is free; waits for one.

        Raises:
            ImageError: it cannot be decoded.
            BundleError: a process was started again, and the bundle is no longer there.
            ReaderFailedError: see there.
        """
        with self._taken() as reader:
            return reader.observe(asked, image)

    @property
    def process_ids(self) -> list[int]:
        """Return the processes that live now."""
        return [reader.pid for reader in self._readers if reader.pid]

    def close(self) -> None:
        """Let every process end what it reads, and end; nobody may ask any more."""
        for reader in self._readers:
            with self._taken(reader):
                reader.stop(patience_s=5.0)

    @contextmanager
    def _taken(self, wanted: "_Reader | None" = None) -> Iterator["_Reader"]:
        """Wait for a free process, or for a certain one, and have it alone."""
        with self._changed:
            self._changed.wait_for(lambda: wanted in self._free if wanted else self._free)
            reader = wanted or self._free[-1]  # the last one that was busy has warm caches
            self._free.remove(reader)
        try:
            yield reader
        finally:
            with self._changed:
                self._free.append(reader)
                self._changed.notify_all()


class RemoteRecogniser:
    """A bundle that every process has loaded; `observe` is `Recogniser.observe`.

    Args:
        readers: the processes.
        bundle: its folder.
        digest: its digest.
    """

    def __init__(self, readers: Readers, bundle: Path, digest: str) -> None:
        self._readers = readers
        self._bundle = bundle
        self.digest = digest

    def observe(
        self, images: Iterable[bytes], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """See `htr.recogniser.Recogniser.observe`.

        Raises:
            ReaderFailedError: the process died of an image, or failed.
        """
        asked = self._asked(characters, alternatives)
        for image in images:
            yield self._readers.observe(asked, image)

    def observe_decoded(
        self, images: Iterable[Decoded], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """See `htr.recogniser.Recogniser.observe_decoded`.

        Raises:
            ReaderFailedError: the process died, or failed.
        """
        asked = self._asked(characters, alternatives)
        for image in images:
            told = {"shape": image.grey.shape, "turned": image.turned, "more_frames": image.more_frames}
            yield self._readers.observe({**asked, "decoded": told}, image.grey.tobytes())

    def _asked(self, characters: bool, alternatives: int) -> dict[str, Any]:
        return {
            "bundle": str(self._bundle),
            "digest": self.digest,
            "characters": characters,
            "alternatives": alternatives,
        }


class _Reader:
    """One process, started again where it died. One request at a time."""

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process.poll() is None else 0

    def load(self, bundle: Path) -> str:
        digest = str(self._ask({"do": "load", "bundle": str(bundle)}, b"", START_SECONDS)["digest"])
        self._knows.add(str(bundle))
        return digest

    def observe(self, asked: dict[str, Any], image: bytes) -> Observation:
        if self._process.poll() is not None:  # it died while nobody asked: out of memory, or killed
            self._restart()
        if asked["bundle"] not in self._knows:  # it was started again; loading has a time of its own
            self.load(Path(asked["bundle"]))
        answer = self._ask({"do": "observe", **asked}, image, self._max_seconds)
        return observation(answer["observation"])

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "serving.reader_process", "--socket", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            ours.close()
            raise ServiceError(f"cannot start a process to read in ({error.strerror}); try --threads 1") from error
        finally:
            theirs.close()
        self._connection = ours
        self._knows: set[str] = set()

    def _ask(self, asked: dict[str, Any], data: bytes, seconds: float) -> dict[str, Any]:
        try:
            self._connection.settimeout(seconds)
            send(self._connection, asked, data)
            answer, _ = receive(self._connection)
        except (OSError, EOFError, ValueError) as error:
            code = self._restart()
            raise ReaderFailedError(
                f"a reader failed ({error!r}, exit code {code}); another took its place"
            ) from error
        if found := answer.get("image_error"):
            raise ImageError(found["reason"], found["message"])
        if "bundle_error" in answer:
            raise BundleError(answer["bundle_error"])
        if "failed" in answer:
            raise ReaderFailedError(answer["failed"])
        return answer

    def _restart(self) -> int | None:
        """Start another process in its place; return the exit code of the old one."""
        self.stop(patience_s=0.0)
        code = self._process.returncode
        self._start()
        return code

    def stop(self, *, patience_s: float) -> None:
        self._connection.close()  # which the process takes for its end
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
