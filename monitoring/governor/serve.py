"""The governor as a process: a thread that takes turns, and the receiver before it, until it is told to stop."""

import logging
import signal
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from types import FrameType

from monitoring.governor.governor import Governor

logger = logging.getLogger(__name__)


class Turns:
    """Takes a turn every few seconds, and at once where it is woken.

    Args:
        governor: whose turns.
        every_s: seconds from the end of one to the next.
        failed: told what a turn raised all the same; those that follow are not taken.
    """

    def __init__(self, governor: Governor, every_s: float, failed: Callable[[BaseException], None]) -> None:
        self._governor = governor
        self._every_s = every_s
        self._failed = failed
        self._changed = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn taken at once."""
        self._changed.set()

    def stop(self) -> None:
        """End after the turn that is being taken; waits for it only shortly: all it does may be done twice."""
        self._stopping = True
        self._changed.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._changed.clear()
                self._governor.turn()
                self._changed.wait(self._every_s)
        except BaseException as error:  # a governor that takes no turns must not look as if it did
            logger.exception("no more turns are taken")
            self._failed(error)


def serve(governor: Governor, server: ThreadingHTTPServer, turns: Turns) -> None:
    """Answer and take turns until SIGTERM or SIGINT; a turn that fails ends it, too."""

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    turns.start()
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        turns.stop()
        server.server_close()
        for number, handler in before.items():
            signal.signal(number, handler)
