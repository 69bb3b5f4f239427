"""Progress of a step, as lines on stdout that start with a mark; whoever runs the step may show just those."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from htr.errors import QuillflowError

MARK = "» "


def say(message: str) -> None:
    """Print one line of progress at once."""
    print(MARK + message, flush=True)


class Ticker:
    """Says how far a long count has come, at most every few seconds; its clock starts at the first call.

    Args:
        what: what is counted, such as ``reading``.
        total: how many there will be.
        every_s: least seconds between two lines.
    """

    def __init__(self, what: str, total: int, *, every_s: float = 10.0) -> None:
        self._what = what
        self._total = total
        self._every_s = every_s
        self._first: int | None = None

    def __call__(self, done: int, note: str = "") -> None:
        """Report that so many are done."""
        now = time.monotonic()
        if self._first is None:  # what came before (loading a library, resuming) says nothing about the rate
            self._first, self._began, self._last = done, now, now
            return
        if now - self._last < self._every_s:
            return
        self._last = now
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        left = clock((self._total - done) / rate) if rate else "?"
        say(f"{self._what}: {done:,} of {self._total:,}, {rate:,.0f}/s, {left} left{note}")


def clock(seconds: float) -> str:
    """Return seconds as m:ss."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


ERROR_MARK = "✗ "


@contextmanager
def errors_shown() -> Iterator[None]:
    """Print an error that a user can mend as marked lines, beside the traceback that goes to the step's log."""
    try:
        yield
    except QuillflowError as error:
        for line in str(error).splitlines():
            print(ERROR_MARK + line, flush=True)
        raise
