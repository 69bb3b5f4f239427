"""Who wrote what when: ``access.jsonl``, one line a write request, which only ever grows.

A line has the time, the service, the route, the client's name (from its token, never its address), the status and
the request's id; no text, no image, nothing of the body. It is on disk before the answer leaves. Several processes
may append to one file, and it may be moved away at any time: the next line begins a new one.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from htr.errors import SettingsError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
FILE = "access.jsonl"


class AccessLog:
    """The log of one service.

    Args:
        file: made when missing; its folder must be there.
        service: whose requests they are.
        clock: UTC.

    Raises:
        SettingsError: it cannot be written.
    """

    def __init__(self, file: Path, *, service: str, clock: Callable[[], datetime]) -> None:
        self._file = file
        self._service = service
        self._clock = clock
        self._is_failing = False
        try:
            os.close(self._open())
        except OSError as error:
            raise SettingsError(
                f"{file}: cannot be written ({error.strerror}); who writes is noted there: make it writable"
            ) from error

    def note(self, *, route: str, client: str, status: int, request_id: str) -> None:
        """Add a line; when this returns, it is on disk.

        What was done is done already: where the disk refuses, that is told to the server's log and to nobody else.

        Args:
            route: method and path without anything that a client chose.
            client: name of the client; "" where nobody knows.
            status: of the answer.
            request_id: short and printable, as our servers have them.
        """
        values = {
            "format_version": FORMAT_VERSION,
            "time": self._clock().isoformat(timespec="milliseconds"),
            "service": self._service,
            "route": route,
            "client": client,
            "status": status,
            "request_id": request_id,
        }
        try:
            self._append(json.dumps(values).encode() + b"\n")
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                logger.error("%s: cannot be written (%s): writes go unnoted", self._file, error.strerror)  # noqa: TRY400
            self._is_failing = True

    def _append(self, line: bytes) -> None:
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # what a crash left half-written stays a line of its own
            if os.write(descriptor, line) < len(line):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
