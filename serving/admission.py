"""Requests in, a bounded few of them in the pool: the rest are refused at once, and none takes for ever.

What a thread has begun cannot be stopped from outside. Work therefore asks between two images whether its time is
up; the client hears of it at once, and the thread is counted as busy until it is free in truth.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

from serving.limits import Limits
from serving.refusals import BusyError, TooSlowError

A = TypeVar("A")
T = TypeVar("T")
Check = Callable[[], None]
"""Raises TooSlowError once the request's time is up."""
_SMOOTHING = 0.2
"""Share of the newest request in the running mean of their seconds."""


class Admission:
    """A pool of threads with a short queue before it. Safe to use from one event loop and any thread.

    Args:
        pool: where requests are read.
        num_threads: requests that it reads at the same time.
        limits: how many may wait, and how long all of it may take.
        clock: seconds, never going back.
    """

    def __init__(
        self, pool: Executor, *, num_threads: int, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._num_threads = num_threads
        self._most = num_threads + limits.max_waiting
        self._max_seconds = limits.max_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._num_pending = 0
        self._num_helping = 0
        self._mean_s = 0.0

    def check(self) -> None:
        """Refuse if one more request could not even wait.

        Raises:
            BusyError: says when to come back.
        """
        if self._num_pending >= self._most:
            raise self._busy()

    async def run(self, work: Callable[[Check], T]) -> T:
        """Do a request's work in the pool.

        Args:
            work: gets a check to call between its steps.

        Returns:
            What the work returned; whatever it raises is raised here.

        Raises:
            BusyError: as many requests wait as may.
            TooSlowError: its time is up, in the queue or at work.
        """
        with self._lock:
            if self._num_pending >= self._most:
                raise self._busy()
            self._num_pending += 1
        until = self._clock() + self._max_seconds
        try:
            future = self._pool.submit(self._timed, work, until)
        except RuntimeError:  # the pool is closed: the server is on its way down
            self._leave(None)
            raise
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._max_seconds)
        except TimeoutError as error:
            raise self._too_slow() from error

    def spread(self, work: Callable[[A], T], items: Sequence[A], check: Check) -> list[T]:
        """Do work on each item, in the calling thread and in those of the pool that no request needs meanwhile.

        A thread that helps goes back to the pool after its item as soon as a request waits for one. One thread of
        the pool never helps: the calling one takes its core.

        Args:
            work: is called with one item, in whichever thread.
            items: what to work on; they are begun in order.
            check: is called before every item in the calling thread.

        Returns:
            What the work returned, in the order of the items; whatever it raises is raised here.
        """
        todo = deque(enumerate(items))
        done: dict[int, T] = {}
        helpers: list[Future[None]] = []

        def do_next() -> bool:
            try:
                at, item = todo.popleft()
            except IndexError:
                return False
            done[at] = work(item)
            return True

        def help_out() -> None:
            try:
                while self._num_pending + self._num_helping <= self._num_threads and do_next():
                    pass
            finally:
                self._count_helpers(-1)

        try:
            more = True
            while more:
                check()
                for helper in [one for one in helpers if one.done()]:
                    helpers.remove(helper)
                    helper.result()
                if len(todo) > 1 and self._num_pending + self._num_helping < self._num_threads - 1:
                    self._count_helpers(1)
                    helpers.append(self._pool.submit(help_out))
                more = do_next()
        finally:
            todo.clear()  # where one item failed the others are not worth it
            for helper in helpers:
                if helper.cancel():
                    self._count_helpers(-1)
            wait(helpers)
        for helper in helpers:
            if not helper.cancelled():
                helper.result()
        return [done[at] for at in range(len(items))]

    def _count_helpers(self, change: int) -> None:
        with self._lock:
            self._num_helping += change

    def _timed(self, work: Callable[[Check], T], until: float) -> T:
        def check() -> None:
            if self._clock() > until:
                raise self._too_slow()

        started = self._clock()
        check()
        try:
            return work(check)
        finally:
            seconds = self._clock() - started
            with self._lock:
                self._mean_s += (seconds - self._mean_s) * (_SMOOTHING if self._mean_s else 1.0)

    def _leave(self, _: Future[T] | None) -> None:
        with self._lock:
            self._num_pending -= 1

    def _busy(self) -> BusyError:
        return BusyError(
            f"{self._num_pending} requests are being read or wait, more may not; try again later",
            retry_after_s=self._wait_s(),
        )

    def _too_slow(self) -> TooSlowError:
        return TooSlowError(
            f"not answered within {self._max_seconds:g} s; send fewer images in one request, or try again later",
            retry_after_s=self._wait_s(),
        )

    def _wait_s(self) -> int:
        """Return the whole seconds after which the requests that are here now should be answered; at least 1."""
        return max(1, math.ceil(self._mean_s * self._num_pending / self._num_threads))
