"""A command as a child process whose lines are read as they come; it never outlives us."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from htr.errors import QuillflowError

PROJECT = Path(__file__).resolve().parent.parent
_asked = threading.Event()


class StepError(QuillflowError):
    """A command failed; the text is what it said."""


def stop_on_signals() -> None:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt, and remember that they came.

    Python drops an exception that a signal raises while it collects garbage; what is remembered is not dropped.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        _asked.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _stop_if_asked() -> None:
    if _asked.is_set():
        raise KeyboardInterrupt


def run_module(arguments: Sequence[str], on_line: Callable[[str], None], *, stop: signal.Signals) -> int:
    """Run ``python -m ARGUMENTS`` from the project's folder; return its exit code.

    Args:
        arguments: module and what follows it.
        on_line: called with every line of its output, line end included, as it comes.
        stop: sent to it and to all that it started when we are interrupted; the interrupt goes on afterwards.
    """
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        assert child.stdout is not None  # noqa: S101 - it was asked for above
        try:
            for line in child.stdout:
                _stop_if_asked()
                on_line(line)
        except BaseException:  # Ctrl-C and SIGTERM included: leave nothing running behind
            os.killpg(child.pid, stop)
            raise
    return child.returncode


def run_told(arguments: Sequence[str | Path], show: Callable[[str], None]) -> list[str]:
    """Run ``python -m ARGUMENTS``, show what it prints as it comes, and return it.

    Raises:
        StepError: it failed.
    """
    told: list[str] = []

    def on_line(line: str) -> None:
        if line.strip():
            told.append(line.rstrip())
            show(line.rstrip())

    if run_module(list(map(str, arguments)), on_line, stop=signal.SIGTERM) != 0:
        reasons = [line.removeprefix("error: ") for line in told if line.startswith("error: ")]
        raise StepError("\n".join(reasons or told))
    return told
