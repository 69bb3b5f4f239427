"""The page in a real browser: Debian's Chromium, driven by Playwright, before a real server."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import ROOT

CHROMIUM = Path("/usr/bin/chromium")
WHY_NOT = f"{CHROMIUM} is not there: sh tests/debian-packages.sh installs it (as root, on Debian)"
READY = re.compile(r"page at (?P<url>\S+), reading by")
PICTURES = Path(os.environ["QUILLFLOW_PICTURES"]) if os.environ.get("QUILLFLOW_PICTURES") else None
"""Where pictures for the docs go, if they are to be made anew: QUILLFLOW_PICTURES=docs/images."""


@dataclass(frozen=True, kw_only=True)
class RunningPage:
    """A page that can be opened."""

    process: subprocess.Popen[str]
    url: str
    stderr: Path
    folder: Path
    """Where it keeps what was uploaded, in a folder of its own."""

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(by)
        return self.process.wait(timeout=40)


@contextlib.contextmanager
def web_page(*args: str, env: dict[str, str] | None = None, timeout_s: float = 120) -> Iterator[RunningPage]:
    """Run ``python -m serving.web`` on a free port until the block ends."""
    command = [sys.executable, "-m", "serving.web", "--port", "0", *args]
    with tempfile.TemporaryDirectory() as folder:
        stderr, kept = Path(folder) / "stderr", Path(folder) / "kept"
        kept.mkdir()
        with (
            stderr.open("w") as errors,
            subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(env or {}), "TMPDIR": str(kept)},
            ) as process,
        ):
            try:
                assert process.stdout is not None
                readable, _, _ = select.select([process.stdout], [], [], timeout_s)
                found = READY.match(process.stdout.readline()) if readable else None
                assert found, f"the page did not become ready: {stderr.read_text()}"
                yield RunningPage(process=process, url=found["url"], stderr=stderr, folder=kept)
            finally:
                process.terminate()
                try:
                    process.wait(timeout=30)
                finally:
                    process.kill()


def refused_page(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run ``python -m serving.web`` with options that it cannot work with; return exit code and stderr."""
    command = [sys.executable, "-m", "serving.web", *args]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stderr


@dataclass
class Watched:
    """What a browser asked for and complained about."""

    foreign: list[str] = field(default_factory=list)
    """Addresses on any other machine."""
    errors: list[str] = field(default_factory=list)
    """Errors of scripts."""
    missed: list[str] = field(default_factory=list)
    """Addresses that were not there, or for others only."""

    def answer(self, address: str, status: int) -> None:
        if status in {401, 404, 405}:
            self.missed.append(address)

    def request(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in {"127.0.0.1", "localhost"}:
            self.foreign.append(address)
