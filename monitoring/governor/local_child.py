"""The process that runs one training on this machine, at most once: ``python -m monitoring.governor.local_child``.

    RUN/lock         held as long as the run lives, by this process and by those that it started
    RUN/began.json   written before the command is started; a folder that has it never starts one again
    RUN/ended.json   written after: exit code, and what the command left in its result file

It outlives the governor, which finds it again by these files.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from htr.append_log import write_durably

LOCK, BEGAN, ENDED = "lock", "began.json", "ended.json"


def main(argv: list[str] | None = None) -> int:
    """Run a command once; return 0 whatever came of it, 3 where it was begun before."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.governor.local_child")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--guard", type=Path, required=True, help="lock of trainings that people start by hand")
    parser.add_argument("--result", type=Path, required=True, help="file that the command leaves")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args(argv)
    lock = _inherited(args.run / LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 3  # another one is at it
    if (args.run / BEGAN).exists():
        return 3
    write_durably(args.run / BEGAN, json.dumps({"format_version": 1, "pid": os.getpid()}).encode())
    fcntl.flock(_inherited(args.guard), fcntl.LOCK_EX)  # waits for a training that a person began
    args.result.unlink(missing_ok=True)
    with subprocess.Popen(args.command, close_fds=False) as process:  # it shares the locks
        code = process.wait()
    ended = {"format_version": 1, "code": code, "result": _read(args.result) if code == 0 else None}
    write_durably(args.run / ENDED, json.dumps(ended).encode())
    return 0


def _inherited(file: Path) -> IO[bytes]:
    stream = file.open("ab")
    os.set_inheritable(stream.fileno(), True)
    _KEPT.append(stream)
    return stream


_KEPT: list[IO[bytes]] = []
"""Closing a file would let go of its lock."""


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
