"""MLflow's pages and the model server side by side, as ``python -m pipelines up`` runs them."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import line_png
from tests.servers import ROOT, ModelRegistry, wait_until


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def start(run: Path, ports: list[int]) -> subprocess.Popen[str]:
    flags = ("--mlflow-port", "--http-port", "--grpc-port")
    words = [word for flag, port in zip(flags, ports, strict=True) for word in (flag, str(port))]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "up", "--run", str(run), *words],
        cwd=ROOT,
        env={**os.environ, "HOME": str(run)},  # the server keeps fetched models below it
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request; return what a JSON answer holds, or the text of another."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200
        text = answer.read().decode()
        return json.loads(text) if answer.headers["Content-Type"].startswith("application/json") else text


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_without_a_champion_mlflow_stands_alone(tmp_path: Path) -> None:
    ModelRegistry(tmp_path)
    ports = free_ports(3)
    with start(tmp_path, ports) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline().strip() for _ in range(3)]
            assert told[0].startswith("no champion in this run")
            assert told[2] == "Ctrl-C stops it"
            assert ask(f"http://127.0.0.1:{ports[0]}/health") == "OK"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=40) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_both_answer_until_ctrl_c_and_then_ports_and_processes_are_gone(tmp_path: Path, tiny_bundle: Path) -> None:
    store = ModelRegistry(tmp_path)
    store.point("champion", store.add_pyfunc(tiny_bundle))
    ports = free_ports(3)
    pages, server = (f"http://127.0.0.1:{port}" for port in ports[:2])
    with start(tmp_path, ports) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline().strip() for _ in range(3)]
            assert told[2] == "Ctrl-C stops both"
            assert any(pages in line for line in told)
            assert any(server in line for line in told)

            assert ask(f"{pages}/health") == "OK"
            assert "<html" in ask(f"{pages}/")
            (model,) = ask(f"{pages}/api/2.0/mlflow/registered-models/search")["registered_models"]
            assert model["name"] == "quillflow"
            assert [alias["alias"] for alias in model["aliases"]] == ["champion"]
            assert ask(f"{server}/v2/models/htr/ready")["ready"] is True
            image = {"image": {"b64": base64.b64encode(line_png("one two")).decode()}}
            answer = ask(f"{server}/v1/models/htr:predict", {"instances": [image]})
            assert answer["model_version"] == "1"

            started = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)
            printed, errors = process.communicate(timeout=40)
        finally:
            process.terminate()
    assert (process.returncode, printed, errors) == (0, "stopped\n", "")
    assert len(started) >= 2
    wait_until(lambda: all(is_over(one) for one in started))
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    assert list((tmp_path / "prediction-log").glob("*.parquet")), "the reading was logged with the run"


@pytest.mark.slow
def test_a_champion_that_cannot_be_read_ends_it_with_one_message_and_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    store = ModelRegistry(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no model")
    store.point("champion", store.add(tmp_path / "empty"))
    ports = free_ports(3)
    with start(tmp_path, ports) as process:
        try:
            printed, errors = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 2
    assert errors.startswith("error: model server ended: ")
    assert "expected one bundle in it, found 0" in errors
    assert "Traceback" not in printed + errors
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with start(tmp_path, [taken, *free_ports(2)]) as process:
            printed, errors = process.communicate(timeout=60)
    assert (process.returncode, printed) == (2, "")
    assert errors.startswith("error: ")
    assert f"--mlflow-port {taken}" in errors
    assert not (tmp_path / "logs").exists()
