"""What the kernel says about a process and its children: memory, open files, threads, processor time."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look at a service."""

    at: float
    """Seconds since the soak began."""
    rss_mib: float
    """Of all its processes; what they share counts for each."""
    files: int
    threads: int
    processor_s: float
    """Used since its processes began."""
    processes: int


def look(pid: int, at: float) -> Sample:
    """Look at a process and at all that descend from it.

    Raises:
        OSError: it has ended.
    """
    pids = family(pid)
    rss, files, threads, processor = 0, 0, 0, 0
    for one in pids:
        place = Path("/proc") / str(one)
        try:
            fields = (place / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
            open_files = sum(1 for _ in (place / "fd").iterdir())
        except OSError:  # a child that ended between two looks
            if one == pid:
                raise
            continue
        processor += int(fields[11]) + int(fields[12])
        threads += int(fields[17])
        rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        files += open_files
    return Sample(
        at=at, rss_mib=rss / _MIB, files=files, threads=threads,
        processor_s=processor / os.sysconf("SC_CLK_TCK"), processes=len(pids),
    )  # fmt: skip


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
        except OSError:
            continue
    return found


class Watch:
    """Looks at services every few seconds, in a thread, until it is told to stop.

    Args:
        pids: name of a service -> its process.
        every_s: from look to look.
        begun: moment (monotonic) from which samples are counted.
    """

    def __init__(self, pids: dict[str, int], every_s: float, begun: float) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in pids}
        self._pids, self._every_s, self._begun = pids, every_s, begun
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for name, pid in self._pids.items():
                try:
                    self.samples[name].append(look(pid, time.monotonic() - self._begun))
                except OSError:  # it died: the end of the soak says so
                    return


class Every:
    """Does something every few seconds, in a thread, until it is told to stop; keeps what it returned.

    Args:
        every_s: from the beginning of one to the next.
        act: what to do; an error of it ends it and is raised at the end.
        begun: moment (monotonic) from which times are counted.
    """

    def __init__(self, every_s: float, act: Callable[[], object], begun: float) -> None:
        self.done: list[tuple[float, object]] = []
        self._every_s, self._act, self._begun = every_s, act, begun
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Every":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            at = time.monotonic() - self._begun
            try:
                self.done.append((at, self._act()))
            except Exception as error:  # the soak fails by it at its end
                self._error = error
                return
            due = max(due + self._every_s, time.monotonic())
