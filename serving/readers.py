"""Reading in processes of their own: each core reads at full speed, whatever Python's lock does to threads.

Decoding a line is much Python, which one process runs on one core at a time. So a server of several readers gives
each a process (`serving.reader_process`), and keeps for itself what must be one: who may ask, the queue, the
prediction log. A reader that dies or does not answer costs the one request that it read.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from htr.bundle import Bundle
from htr.errors import BundleError, ImageError, ServiceError
from htr.image import Decoded
from htr.recogniser import Observation
from serving.reader_process import KEPT
from serving.reader_wire import observation, receive, send
from serving.turns import Turns

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
        self._turns = Turns(self._readers)
        self._folder = TemporaryDirectory(prefix="quillflow-readers-")
        self._num_loaded = 0

    def load(self, bundle: Path) -> "RemoteRecogniser":
        """Load a bundle in every process, one after the other; the others read on meanwhile.

        It is copied first: a process that is started again finds it, whatever has become of the folder since.

        Raises:
            BundleError: missing, incomplete, altered, or of another version.
            ServiceError: it cannot be copied, or a process died of it.
        """
        Bundle.open(bundle)
        self._num_loaded += 1
        copy = self._place(self._num_loaded)
        try:
            shutil.copytree(bundle, copy)
            for reader in self._readers:
                with self._turns.taken(reader):
                    digest = reader.load(copy)
        except OSError as error:
            raise ServiceError(
                f"{copy}: the bundle cannot be copied there ({error.strerror}); give TMPDIR more room"
            ) from error
        except ReaderFailedError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ServiceError(
                f"{bundle}: a process to read in cannot load it ({reason}); try fewer --threads, or more memory"
            ) from error
        shutil.rmtree(self._place(self._num_loaded - KEPT), ignore_errors=True)
        return RemoteRecogniser(self, copy, digest)

    def _place(self, number: int) -> Path:
        return Path(self._folder.name) / str(number)

    def observe(self, asked: dict[str, Any], image: bytes) -> Observation:
        """Have one image read by whichever process is free; waits for one.

        Raises:
            ImageError: it cannot be decoded.
            BundleError: a process was started again, and our copy of the bundle is gone or altered.
            ReaderFailedError: see there.
        """
        with self._turns.taken() as reader:
            return reader.observe(asked, image)

    @property
    def process_ids(self) -> list[int]:
        """Return the processes that live now."""
        return [reader.pid for reader in self._readers if reader.pid]

    def close(self) -> None:
        """Let every process end what it reads, and end; nobody may ask any more."""
        for reader in self._readers:
            with self._turns.taken(reader):
                reader.stop(patience_s=5.0)
        self._folder.cleanup()


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
        if self._process.poll() is not None:  # it died while nobody asked: out of memory, or killed
            self._restart()
        digest = str(self._ask({"do": "load", "bundle": str(bundle)}, b"", START_SECONDS)["digest"])
        self._knows.add(str(bundle))
        return digest

    def observe(self, asked: dict[str, Any], image: bytes) -> Observation:
        if self._process.poll() is not None or asked["bundle"] not in self._knows:  # loading has a time of its own
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
