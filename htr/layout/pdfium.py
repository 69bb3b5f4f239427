"""A PDF's bytes in, pictures of its pages out, drawn by a process that is stopped when it takes too long.

Each file has a process of its own, `htr.layout.pdfium_child`: PDFium must not be called by two threads at a time,
and a PDF can make it crash, or draw for ever. Starting one takes about a tenth of a second of processor time.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from htr.errors import ImageError

PDF_DPI = 250
"""Dots an inch at which pages are drawn: handwriting of 3 mm is then 30 pixels high."""
STEP_SECONDS = 10.0
"""Longest that opening a PDF, or drawing one page of it, may take by the clock."""
_PROGRAM = Path(__file__).with_name("pdfium_child.py")
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""Environment variables that the process needs; others may be secrets."""


def is_pdf(data: bytes) -> bool:
    """Return whether bytes begin as a PDF does, or nearly so."""
    return data[:1024].lstrip().startswith(b"%PDF")


def count_pages(data: bytes) -> int:
    """Return how many pages a PDF has, at least one.

    Raises:
        ImageError: it cannot be opened, or has none.
    """
    with _child(data, STEP_SECONDS) as child:
        return child.num_pages


def draw_pages(
    data: bytes, numbers: Sequence[int], *, max_pixels: int, step_seconds: float = STEP_SECONDS
) -> Iterator[tuple[int, Image.Image]]:
    """Draw pages of a PDF, one at a time.

    Args:
        data: the PDF.
        numbers: pages, from 1.
        max_pixels: a page of more is refused.
        step_seconds: longest that one may take.

    Raises:
        ImageError: it cannot be opened, or a page cannot be drawn, is too large or takes too long.
    """
    with _child(data, step_seconds) as child:
        for number in numbers:
            yield number, child.draw(number, max_pixels)


@contextmanager
def _child(data: bytes, step_seconds: float) -> Iterator["_Child"]:
    process = subprocess.Popen(
        [sys.executable, str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
    )
    try:
        yield _Child(process, data, step_seconds)
    finally:
        process.kill()
        process.communicate()


class _Child:
    """A process that has opened a PDF."""

    def __init__(self, process: "subprocess.Popen[bytes]", data: bytes, step_seconds: float) -> None:
        self._process = process
        self._step_seconds = step_seconds
        head, _ = self._ask(b"%d\n" % len(data) + data, "the PDF")
        self.num_pages = int(head["pages"])
        if not self.num_pages:
            raise ImageError("empty", "the PDF has no page; export it again")

    def draw(self, number: int, max_pixels: int) -> Image.Image:
        """Return a page as a picture."""
        head, pixels = self._ask(b"%d %d %d\n" % (number, max_pixels, PDF_DPI), f"page {number} of the PDF")
        size = (head["width"], head["height"])
        return Image.frombuffer(head["mode"], size, pixels, "raw", head["mode"], head["stride"], 1)

    def _ask(self, sent: bytes, what: str) -> tuple[dict[str, Any], bytes]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._step_seconds, stop)
        timer.start()
        try:
            head, content = self._exchange(sent)
        except (OSError, EOFError, ValueError) as error:
            if late.is_set() or self._process.wait(timeout=STEP_SECONDS) == -signal.SIGABRT:  # no memory is left
                text = f"{what} takes more than {self._step_seconds:g} s or 2 GiB to draw; send it as an image"
                raise ImageError("too_large", text) from error
            raise ImageError("undecodable", f"{what} cannot be drawn; export it again or send an image") from error
        finally:
            timer.cancel()
        if "error" in head:
            raise ImageError(head["reason"], head["error"])
        return head, content

    def _exchange(self, sent: bytes) -> tuple[dict[str, Any], bytes]:
        asked, said = self._process.stdin, self._process.stdout
        if asked is None or said is None:
            raise AssertionError("the process was started with pipes")
        asked.write(sent)
        asked.flush()
        head: dict[str, Any] = json.loads(said.readline() or b"null") or {}
        content = said.read(head.get("size", 0))
        if not head or len(content) < head.get("size", 0):
            raise EOFError
        return head, content
