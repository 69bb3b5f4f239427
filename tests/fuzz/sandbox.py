"""What must hold of every input: an end within seconds, an error for people at worst, nothing outside touched."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htr.errors import QuillflowError

MAX_SECONDS = 5.0
OUTSIDE = "out-of-bounds"
"""Folder that nothing may be opened in; it lies beside the one that is imported from."""


class BrokenPromiseError(AssertionError):
    """What an input brought about, though nothing may."""


class _Watch:
    """Notes which files Python opens; an audit hook stays for good, so there is one, and it is idle mostly."""

    def __init__(self) -> None:
        self._opened: list[str] | None = None
        self._is_hooked = False

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Refuse files outside while the block runs."""
        if not self._is_hooked:
            self._is_hooked = True
            sys.addaudithook(self._note)
        self._opened = []
        try:
            yield
        finally:
            opened, self._opened = self._opened, None
        forbidden = [path for path in opened if f"/{OUTSIDE}/" in path or path.startswith("/etc/")]
        if forbidden:
            raise BrokenPromiseError(f"opened {forbidden[0]}, which lies outside")

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._opened is not None and event == "open" and isinstance(arguments[0], str | bytes):
            self._opened.append(os.path.realpath(os.fsdecode(arguments[0])))


_WATCH = _Watch()


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder with ``in``, to be filled, and OUTSIDE beside it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        (place / "in").mkdir()
        (place / OUTSIDE).mkdir()
        yield place


def attempt(run: Callable[[], Any], out: Path | None = None) -> Any:
    """Run what is fuzzed; return what it gives, or None where it says what is wrong.

    Args:
        run: may raise a QuillflowError and nothing else.
        out: what must not be there, not even in part, after an error.

    Raises:
        BrokenPromiseError: it took too long, left something behind, or opened what lies outside.
    """
    began = time.process_time()
    try:
        with _WATCH.outside():
            result = run()
    except QuillflowError:
        result = None
        left = {path.name for path in out.parent.iterdir()} - {"in", OUTSIDE} if out else set()
        if left:
            raise BrokenPromiseError(f"left {left} behind") from None
    took = time.process_time() - began  # of the processor: the machine may have other things to do
    if took > MAX_SECONDS:
        raise BrokenPromiseError(f"took {took:.1f} s")
    return result
