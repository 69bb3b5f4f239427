"""Debian's Prometheus and Alertmanager as processes, with the project's own configuration, every second."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import ROOT, wait_until

MONITORING = ROOT / "monitoring"
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")


def missing_programs() -> str:
    """Return which of Debian's programs are not there, "" where all are."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name) is None)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, **query: str) -> Any:
    """Return the JSON at an address."""
    address = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - on this machine
        return json.load(answer)


def ask_prometheus(url: str, query: str) -> list[dict[str, Any]]:
    """Return what a query comes to now."""
    found: list[dict[str, Any]] = get(f"{url}/api/v1/query", query=query)["data"]["result"]
    return found


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str, token: Path) -> Iterator[str]:
    """Run Alertmanager with the project's routing, its webhook turned to an address."""
    config = (MONITORING / "alertmanager.yaml").read_text()
    config = config.replace("http://governor:8090", webhook).replace("/etc/quillflow/governor-token", str(token))
    config = re.sub(r"group_wait: \S+", "group_wait: 1s", config)
    config = re.sub(r"group_interval: \S+", "group_interval: 1s", config)
    folder.mkdir()
    (folder / "alertmanager.yaml").write_text(config)
    port = free_port()
    command = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yaml"]
    command += [f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--cluster.listen-address="]
    with _running(command, folder / "log", f"http://127.0.0.1:{port}/-/ready"):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, str], alerts_to: str) -> Iterator[str]:
    """Run Prometheus with the project's rules and jobs.

    Args:
        folder: its own.
        targets: of a line of the project's configuration, what takes its place.
        alerts_to: Alertmanager's host and port.
    """
    config = (MONITORING / "prometheus.yaml").read_text().replace("alertmanager:9093", alerts_to)
    for line, instead in targets.items():
        assert line in config
        config = config.replace(line, instead)
    config = re.sub(r"_interval: \S+", "_interval: 1s", config).replace("rules/", f"{MONITORING}/rules/")
    folder.mkdir()
    (folder / "prometheus.yaml").write_text(config)
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yaml"], check=True, capture_output=True)
    url = f"http://127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address={url.removeprefix('http://')}"]
    with _running(command, folder / "log", f"{url}/-/ready"):
        yield url


@contextlib.contextmanager
def _running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    with urllib.request.urlopen(ready, timeout=2) as answer:  # noqa: S310 - on this machine
                        return bool(answer.status == 200)
                except OSError:
                    return False

            wait_until(answers, timeout_s=60)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            finally:
                process.kill()
