"""The loop's services as processes of their own: model server, governor, and the drift check from time to time."""

import contextlib
import json
import os
import re
import resource
import select
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMAGE_SHARE = 0.1
_POLICY = "version = 1\nmin_lines = 1000000\nmin_lines_degraded = 1000000\n"
"""Nothing trains meanwhile: the alarms that come are taken in, and lines are asked for."""
_ADDRESS = re.compile(r"(http://[0-9.]+:[0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Services:
    """What runs, and where it writes."""

    folder: Path
    bundle: Path
    server: subprocess.Popen[str]
    server_url: str
    governor: subprocess.Popen[str]
    governor_url: str

    @property
    def log(self) -> Path:
        """The prediction log, images below it."""
        return self.folder / "log"

    @property
    def corrections(self) -> Path:
        """The store of corrections."""
        return self.folder / "corrections"

    @property
    def state(self) -> Path:
        """Where the governor keeps what it decided."""
        return self.folder / "governor"

    def scrape(self) -> int:
        """Fetch the figures of both, as Prometheus does; return how many bytes."""
        return sum(len(_get(f"{url}/metrics")) for url in (self.server_url, self.governor_url))

    def alarm(self, number: int) -> str:
        """Tell the governor of an alert, as Alertmanager does, again and again; return what was decided."""
        alert = {
            "status": "firing", "fingerprint": f"soak-{number}", "startsAt": datetime.now(UTC).isoformat(),
            "labels": {"alertname": "HandwritingDrift", "bundle_digest": ""}, "annotations": {},
        }  # fmt: skip
        body = {"version": "4", "groupKey": "soak", "status": "firing", "alerts": [alert]}
        said = json.loads(_get(f"{self.governor_url}/v1/alerts", json.dumps(body).encode()))
        return str(said["decisions"][0]["decision"])

    def check(self, newest: int) -> dict[str, Any]:
        """Look for drift in the newest readings; return the verdict, and what looking cost."""
        out = self.folder / "drift"
        command = [sys.executable, "-m", "monitoring", "check", "--bundle", str(self.bundle)]
        command += ["--log", str(self.log), "--out", str(out), "--newest", str(newest)]
        command += ["--corrections", str(self.corrections), "--history", str(self.folder / "windows.jsonl")]
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"the drift check ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        verdict = json.loads((out / "drift.json").read_text(encoding="utf-8"))
        return {
            "state": verdict["state"], "rows": verdict["rows"], "processor_s": round(processor, 2),
            "seconds": round(time.monotonic() - began, 2),
        }  # fmt: skip

    def disk(self) -> dict[str, int]:
        """Return the bytes of every file below the folders that are written, by folder."""
        return {name: _bytes(self.folder / name) for name in ("log", "corrections", "governor")}


@contextlib.contextmanager
def services(folder: Path, bundle: Path, *, threads: int) -> Iterator[Services]:
    """Run model server and governor until the block ends.

    Raises:
        OSError: one of them does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(_POLICY, encoding="utf-8")
    serving = ["serving", "--bundle", str(bundle), "--http_port", "0", "--grpc_port", "0"]
    serving += ["--threads", str(threads), "--log-dir", str(folder / "log"), "--log-images", str(IMAGE_SHARE)]
    serving += ["--corrections", str(folder / "corrections"), "--pages", "off"]
    governing = ["monitoring", "serve-governor", "--state", str(folder / "governor"), "--port", "0"]
    governing += ["--policy", str(folder / "policy.toml"), "--local-root", str(folder / "runs")]
    governing += ["--corrections-store", str(folder / "corrections"), "--log", str(folder / "log")]
    governing += ["--verdict", str(folder / "drift" / "drift.json"), "-p", "lines=lines"]
    with (
        _running(serving, folder / "server.stderr") as (server, server_url),
        _running(governing, folder / "governor.stderr") as (governor, governor_url),
    ):
        yield Services(
            folder=folder, bundle=bundle, server=server, server_url=server_url, governor=governor,
            governor_url=governor_url,
        )  # fmt: skip


@contextlib.contextmanager
def _running(arguments: list[str], stderr: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", *arguments]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with (
        stderr.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=quiet, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe
            readable, _, _ = select.select([process.stdout], [], [], 120)
            found = _ADDRESS.search(process.stdout.readline()) if readable else None
            if found is None:
                raise OSError(f"{arguments[0]} does not start: {stderr.read_text(encoding='utf-8')[-500:]}")
            yield process, found[1]
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            finally:
                process.kill()


def _get(url: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own
        return bytes(answer.read())


def _bytes(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += (Path(place) / name).stat().st_size
    return total
