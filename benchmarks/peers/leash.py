"""Runs a command that cannot outlive whoever holds the other end of our standard input.

    python leash.py CPUS COMMAND...        CPUS: 0,1,... that the command is pinned to, or "all"

When standard input ends, because the holder closed it or was killed, the command and all that it started are
killed at once. So they are when the command itself ends and leaves others behind. Standard library only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(cpus: str, command: list[str]) -> int:
    """Run the command; return its exit status, 128 + N where signal N ended it."""
    if cpus != "all" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be started ({error.strerror})\n")
        return 127

    def kill(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def watch() -> None:
        # Not sys.stdin: a thread that waits inside its lock would stop the interpreter from ending.
        while os.read(0, 1024):
            pass
        kill()

    signal.signal(signal.SIGTERM, kill)
    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    kill()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
