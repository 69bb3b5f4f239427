"""A real MLflow server behind a proxy that lies: `make trust` plays this, since the server takes long to start."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from components import tracking
from components.promote.aliases import move_champion
from components.register.publish import publish
from htr.errors import ServiceError
from htr.lines import LinesDataset
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.faults.lying import lying_proxy
from tests.servers import ModelRegistry

DECISION = {"format_version": 1, "promote": True, "rule": "first", "reason": "no champion yet", "checks": []}
pytestmark = [
    pytest.mark.usefixtures("mlflow_alone"),
    pytest.mark.skipif(not os.environ.get("QUILLFLOW_TRUST"), reason="played by make trust: QUILLFLOW_TRUST=1"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    registry = ModelRegistry(folder, name="another")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", registry.uri, "--artifacts-destination", str(folder / "served")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(command, env=os.environ | quiet, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    return write_lines(tmp_path_factory.mktemp("data") / "lines", [make_line("one two", 1, split="test")])


def publish_by(uri: str, bundle: Path, lines: LinesDataset, folder: Path, run_id: str) -> str:
    files = {name: folder / name for name in ("report.json", "decision.json")}
    for name, file in files.items():
        file.write_text(json.dumps(DECISION) if name == "decision.json" else name)
    given = {"run_id": run_id, "model_name": "quillflow", "tracking_uri": uri}
    return publish(bundle, lines.path, files=files, **given)


def retried(act: object, tries: int = 4) -> object:
    """Do a step as the pipeline does: again when it failed by what is away"""
    for _ in range(tries):
        try:
            return act()  # type: ignore[operator]
        except ServiceError:
            continue
    raise AssertionError("it never worked")


@pytest.mark.parametrize(
    "what",
    ["model-versions/create", "registered-models/create", "registered-models/alias", "model-versions/set-tag"],
)
def test_an_mlflow_that_answers_500_after_it_did_what_was_asked_registers_one_version(
    what: str, server: str, tiny_bundle: Path, lines: LinesDataset, tmp_path: Path
) -> None:
    lied = 0

    def lie(method: str, path: str, number: int) -> str:
        nonlocal lied
        if lied < 1 and what in path and method != "GET":
            lied += 1
            return "lie"
        return "slow" if number % 40 == 0 else "refuse" if number % 37 == 0 else ""

    with tracking.service(server), tracking.tracked_run() as run_id:
        pass
    with lying_proxy(server, lie) as uri:
        version = retried(lambda: publish_by(uri, tiny_bundle, lines, tmp_path, run_id))
        client = MlflowClient(tracking_uri=server, registry_uri=server)
        before = tracking.version_at(client, "quillflow", "champion")
        known = before.version if before else ""
        retried(lambda: move_champion(str(version), known, model_name="quillflow", tracking_uri=uri))
    found = [one.version for one in client.search_model_versions("name = 'quillflow'") if one.run_id == run_id]
    assert [str(one) for one in found] == [version]
    assert str(client.get_model_version_by_alias("quillflow", "champion").version) == version
    if what != "registered-models/create" or not known:
        assert lied == 1
