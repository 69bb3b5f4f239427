"""A function in a process of its own, killed with SIGKILL: at its n-th touch of a file, or after a while.

A touch is an opening, a renaming, a removal, a new folder or an fsync below the folder; what native code writes
between two of them is hit by kills after a while. Processes are forked, which takes milliseconds: whoever calls
must have no threads.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Act = Callable[[Path, Callable[[str], None]], None]
"""Does something in a folder; tells by the second argument what is promised from then on."""
TOUCHES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link"}


@dataclass(frozen=True, kw_only=True)
class Kill:
    """When a process is to end: before its n-th touch, or so many seconds after it began; else not at all."""

    touch: int = 0
    after_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"touch {self.touch}" if self.touch else f"{self.after_s * 1000:.1f} ms" if self.after_s else "never"
        )


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended."""

    killed: bool
    promised: list[str]
    touches: int
    seconds: float
    error: str = ""
    """Of a process that failed by itself; "" where it came to its end."""


def run(act: Act, folder: Path, kill: Kill | None = None) -> Ended:
    """Run an act in a process of its own to its end, or until it is killed."""
    return finish(begin(act, folder, kill or Kill()))


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process that was begun."""

    pid: int
    told: int
    """Where it writes what it promises, a line each."""
    kill: Kill
    begun: float


def begin(act: Act, folder: Path, kill: Kill) -> Running:
    """Begin an act in a process of its own."""
    reading, writing = os.pipe()
    begun = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(reading)
        code = 1
        try:
            touches = _count_touches(folder, kill.touch)

            def promise(text: str) -> None:
                os.write(writing, f"promise {text}\n".encode())

            try:
                act(folder, promise)
                code = 0
            except Exception as error:  # the parent says what it was
                last = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"
                os.write(writing, f"error {where.replace(chr(10), ' ')}\n".encode())
            os.write(writing, f"touches {touches()}\n".encode())
        finally:
            os._exit(code)
    os.close(writing)
    return Running(pid=pid, told=reading, kill=kill, begun=begun)


def finish(running: Running) -> Ended:
    """Wait for a process, or kill it when it is time."""
    if running.kill.after_s:
        time.sleep(max(0.0, running.begun + running.kill.after_s - time.monotonic()))
        os.kill(running.pid, signal.SIGKILL)
    told = b""
    while piece := os.read(running.told, 65536):
        told += piece
    os.close(running.told)
    _, status = os.waitpid(running.pid, 0)
    lines = [line.partition(" ")[::2] for line in told.decode().split("\n")]
    found: dict[str, Any] = dict(lines)
    return Ended(
        killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        promised=[text for word, text in lines if word == "promise"],
        touches=int(found.get("touches", 0)),
        seconds=time.monotonic() - running.begun,
        error=found.get("error", ""),
    )


def choose_kill(rng: random.Random, whole: Ended) -> Kill:
    """Choose when to kill an act, whose whole run is known: two of three times at a touch."""
    if rng.random() < 2 / 3 and whole.touches:
        return Kill(touch=rng.randint(1, whole.touches))
    return Kill(after_s=rng.uniform(0.0, whole.seconds * 0.7))


def _count_touches(folder: Path, kill_at: int) -> Callable[[], int]:
    count = 0
    below = str(folder.resolve())
    real = os.fsync

    def touch() -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in TOUCHES and arguments and str(arguments[0]).startswith(below):
            touch()

    def fsync(descriptor: int) -> None:
        touch()
        real(descriptor)

    sys.addaudithook(hook)
    os.fsync = fsync
    return lambda: count
