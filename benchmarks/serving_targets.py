"""The servers that benchmarks/serving.py asks, each a process of its own, and what the kernel says about them."""

import contextlib
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120
_ADDRESS = re.compile(r"at (http://[0-9.]+:[0-9]+)")
_LOST = re.compile(r"prediction log: ([0-9]+) rows written, ([0-9]+) dropped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A server that takes requests."""

    name: str
    url: str
    path: str
    process: subprocess.Popen[str]
    stderr: Path

    def resident_mib(self) -> float:
        """Return the memory that it and its readers hold now, in MiB; what they share counts for each."""
        texts = [(place / "status").read_text(encoding="ascii") for place in self._processes()]
        return sum(int(re.findall(r"VmRSS:\s+([0-9]+) kB", text)[0]) for text in texts) / 1024

    def processor_s(self) -> float:
        """Return the seconds of processor time that it and its readers have used, all threads together."""
        texts = [(place / "stat").read_text(encoding="ascii") for place in self._processes()]
        fields = [text.rpartition(")")[2].split() for text in texts]
        return sum(int(found[11]) + int(found[12]) for found in fields) / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> list[Path]:
        """Return where the kernel tells of it and of the processes that it reads in."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = [number for task in tasks for number in (task / "children").read_text(encoding="ascii").split()]
        return [Path("/proc") / number for number in (str(self.process.pid), *children)]

    def stop(self) -> tuple[int, int]:
        """Stop it; return the rows that its prediction log wrote and dropped, as it says itself."""
        self.process.terminate()
        self.process.wait(timeout=60)
        found = _LOST.findall(self.stderr.read_text(encoding="utf-8"))
        written, dropped = found[-1] if found else (0, 0)
        return int(written), int(dropped)


@contextlib.contextmanager
def served(
    bundle: Path, folder: Path, *, threads: int, queue: int | None = None, options: Sequence[str] = ()
) -> Iterator[Target]:
    """Run our model server with a prediction log in a folder, until the block ends."""
    ports = ("--http_port", "0", "--grpc_port", "0", "--log-dir", str(folder / "log"))
    waiting = () if queue is None else ("--queue", str(queue))
    command = ("-m", "serving", "--bundle", str(bundle), "--threads", str(threads), *ports, *waiting, *options)
    with _running("served", "/v1/models/htr:predict", folder, *command) as target:
        yield target


@contextlib.contextmanager
def transformer(predictor: Target, folder: Path, *, threads: int) -> Iterator[Target]:
    """Run our transformer of pages before a server of ours, until the block ends."""
    command = ("-m", "serving.pages", "--predictor_host", predictor.url, "--threads", str(threads))
    ports = ("--http_port", "0", "--grpc_port", "0")
    with _running("transformer", "/v1/models/pages:predict", folder, *command, *ports) as target:
        yield target


@contextlib.contextmanager
def plain(bundle: Path, folder: Path, *, threads: int) -> Iterator[Target]:
    """Run the plain server until the block ends."""
    command = ("-m", "benchmarks.plain_server", "--bundle", str(bundle), "--threads", str(threads))
    with _running("plain", "/read", folder, *command) as target:
        yield target


@contextlib.contextmanager
def _running(name: str, path: str, folder: Path, *command: str) -> Iterator[Target]:
    folder.mkdir(parents=True, exist_ok=True)
    stderr = folder / "stderr"
    with (
        stderr.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
            found = _ADDRESS.search(process.stdout.readline()) if readable else None
            if found is None:
                raise RuntimeError(f"{name}: did not start: {stderr.read_text(encoding='utf-8')[-2000:]}")
            yield Target(name=name, url=found[1], path=path, process=process, stderr=stderr)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            finally:
                process.kill()
