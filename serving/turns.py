"""A few things that many threads want to have alone for a while: first come, first served.

A condition variable would not do: who gives a thing back under Python's lock takes it again before anyone who
waits has woken up, so that under load some wait for ever.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Hands things out. Safe to use from several threads.

    Args:
        things: all of them, free.
    """

    def __init__(self, things: Sequence[T]) -> None:
        self._free = deque(things)
        self._waiting: deque[tuple[T | None, Future[T]]] = deque()
        self._lock = threading.Lock()

    @property
    def num_waiting(self) -> int:
        """Threads that wait."""
        return len(self._waiting)

    @contextmanager
    def taken(self, wanted: T | None = None) -> Iterator[T]:
        """Wait for a thing, or for a certain one, and have it until the block ends.

        What was given back last is handed out first, since its caches are warm. Where the block failed it goes
        to the end, so that a broken one does not draw every request to itself.
        """
        thing = self._take(wanted)
        failed = True
        try:
            yield thing
            failed = False
        finally:
            self._give_back(thing, last=failed)

    def _take(self, wanted: T | None) -> T:
        with self._lock:
            if wanted is None and self._free:  # then nobody waits who would take it
                return self._free.pop()
            if wanted is not None and wanted in self._free:
                self._free.remove(wanted)
                return wanted
            turn: Future[T] = Future()
            self._waiting.append((wanted, turn))
        return turn.result()

    def _give_back(self, thing: T, *, last: bool) -> None:
        with self._lock:
            for at, (wanted, turn) in enumerate(self._waiting):
                if wanted is None or wanted is thing:
                    del self._waiting[at]
                    turn.set_result(thing)
                    return
            if last:
                self._free.appendleft(thing)
            else:
                self._free.append(thing)
