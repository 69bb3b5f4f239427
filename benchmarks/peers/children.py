"""Starts leashed children, shows how far they are, and ends them when their time is up."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import PROJECT

LEASH = Path(__file__).with_name("leash.py")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a child ended."""

    status: int
    """Exit status; 128 + N for signal N."""
    seconds: float
    timed_out: bool
    """It was still running when its time was up, or when we had enough of it, and was killed."""


class Children:
    """Runs commands for one peer, one after another.

    Args:
        name: of the peer; begins every line that is shown.
        say: shows a line to the user.
        cpus: cores that children are pinned to.
        every_s: seconds between two lines about one child.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        name: str,
        say: Say,
        *,
        cpus: Sequence[int] | None = None,
        every_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.say = say
        self._cpus = cpus
        self._every_s = every_s
        self._clock = clock

    def run(
        self,
        command: Sequence[str],
        *,
        log: Path,
        doing: str,
        seconds: float | None = None,
        progress: Path | None = None,
        enough: Callable[[dict[str, Any]], bool] = lambda _: False,
        variables: Mapping[str, str] | None = None,
        num_cpus: int | None = None,
    ) -> Ended:
        """Run a command to its end, or to the end of its time.

        Args:
            command: program and arguments.
            log: file for what it prints.
            doing: one or two words for the user.
            seconds: kill it after so many.
            progress: file where the child says how far it is; see `meter.tell`.
            enough: ends it too, once true of what the child last said.
            variables: environment variables beside ours.
            num_cpus: pin it to so many of the cores; all that were given by default.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        cpus = "all" if self._cpus is None else ",".join(map(str, self._cpus[:num_cpus]))
        if progress is not None:
            progress.unlink(missing_ok=True)
        began = shown = self._clock()
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, str(LEASH), cpus, *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=log.parent,  # some peers litter the folder that they are started in
                env={**os.environ, **(variables or {})},
                start_new_session=True,  # Ctrl-C is for us; we then let go of the leash
            )
            timed_out = False
            try:
                while child.poll() is None:
                    now = self._clock()
                    late = seconds is not None and now - began >= seconds
                    if not timed_out and (late or enough(read_progress(progress))):
                        timed_out = True
                        self._let_go(child)
                    if now - shown >= self._every_s:
                        shown = now
                        self.say(f"{self.name}: {doing}{_state(progress, now - began, seconds)}")
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(0.2)
            finally:
                self._let_go(child)
                child.wait()
        return Ended(status=child.returncode, seconds=self._clock() - began, timed_out=timed_out)

    @staticmethod
    def _let_go(child: "subprocess.Popen[bytes]") -> None:
        if child.stdin is not None and not child.stdin.closed:
            child.stdin.close()


def variables_for(threads: int) -> dict[str, str]:
    """Return the variables that hold every peer to so many threads, off GPUs, and off the network."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **dict.fromkeys((*names, "TF_NUM_INTRAOP_THREADS"), str(threads)),
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "DO_NOT_TRACK": "1",
    }


def read_progress(file: Path | None) -> dict[str, Any]:
    """Return what a child last said about itself; nothing where it has not spoken yet."""
    if file is None:
        return {}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def last_words(log: Path, *, lines: int = 3, most: int = 400) -> str:
    """Return the end of a log as one line: the reason a child gave before it died."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "it left no log"
    said = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return " / ".join(said[-lines:])[-most:] or "it said nothing"


def _state(progress: Path | None, elapsed_s: float, seconds: float | None) -> str:
    told = read_progress(progress)
    parts = []
    done, total, rate = told.get("lines"), told.get("total"), told.get("lines_per_s")
    if done is not None:
        parts.append(f"{done:,} of {total:,} lines" if total else f"{done:,} lines")
    if rate:
        parts.append(f"{rate:.0f} lines/s")
    if told.get("validation_cer") is not None:
        parts.append(f"validation CER {told['validation_cer']:.1%}")
    left = seconds - elapsed_s if seconds is not None else None
    if total and rate:
        left = (total - done) / rate
    parts.append(f"{clock_text(left)} left" if left is not None else f"for {clock_text(elapsed_s)}")
    return ", " + ", ".join(parts)


def clock_text(seconds: float) -> str:
    """Return minutes and seconds as ``m:ss``."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
