"""Pipeline parameters, compiling, and what users are told."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from htr.errors import SettingsError
from pipelines.__main__ import main, parameters


def test_parameters_get_the_types_that_the_pipeline_declares() -> None:
    found = parameters(["lines=/d", "cer_ceiling=0.4", 'settings={"seed": 2}'])
    assert found == {"lines": "/d", "cer_ceiling": 0.4, "settings": {"seed": 2}}


@pytest.mark.parametrize("pair", ["lines", "unknown=1", "margin=much", "settings={"])
def test_a_parameter_that_makes_no_sense_is_named(pair: str) -> None:
    with pytest.raises(SettingsError, match="-p"):
        parameters([pair])


def test_the_compiled_pipeline_holds_every_step_and_its_condition(tmp_path: Path) -> None:
    assert main(["compile", "--out", str(tmp_path / "p.yaml")]) == 0
    spec = yaml.safe_load((tmp_path / "p.yaml").read_text())
    steps = spec["root"]["dag"]["tasks"]
    assert set(steps) == {
        "ingest", "validate", "champion", "train", "evaluate", "gate", "register", "condition-1",
    }  # fmt: skip
    assert "== true" in steps["condition-1"]["triggerPolicy"]["condition"]
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-train"]["container"]["resources"]["accelerator"]["resourceCount"] == "1"
    assert all(e["container"]["image"] == "quillflow/pipeline:dev" for e in executors.values())
    assert "pip install" not in json.dumps(executors)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--root", "{}/r"], "-p lines=DIR"),
        (["run", "--root", "{}/file/r", "-p", "lines=/d"], "file"),
        (["run", "--root", "{}/r", "-p", "lines=/d", "-p", "settings=5"], "settings must be of type"),
        (["loop", "--runs", "{}/r", "--budget", "0"], "--budget"),
        (["compile", "--out", "{}/file/p.yaml"], "file"),
        (["loop", "--runs", "{}/r", "--lines", "{}/nowhere"], "not a lines dataset"),
        (["loop", "--runs", "{}/r", "--arriving", "{}"], "--arriving goes with --lines"),
        (["loop", "--runs", "{}/file/r"], "cannot be written"),
        (["up", "--run", "{}/nowhere"], "make run"),
        (["submit", "--host", "http://127.0.0.1:1", "-p", "lines=/d"], "KFP at http://127.0.0.1:1"),
    ],
)
def test_a_users_mistake_ends_in_one_message(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([a.replace("{}", str(tmp_path)) for a in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert told in message
    assert "Traceback" not in message


class Api(http.server.BaseHTTPRequestHandler):
    """The few answers of a KFP API server that starting a run needs."""

    started: list[dict[str, object]] = []  # noqa: RUF012 - one server, one list

    def _answer(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if "/healthz" in self.path:
            self._answer({"multi_user": False})
        else:
            self._answer({"experiments": [{"experiment_id": "e1", "display_name": "quillflow"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/runs"):
            self.started.append(body)
            self._answer({"run_id": "run-7"})
        else:
            self._answer({"experiment_id": "e1", "display_name": "quillflow"})

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def kfp_api() -> Iterator[str]:
    Api.started.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_submit_sends_the_pipeline_with_its_arguments(kfp_api: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--host", kfp_api, "-p", "lines=/data/lines", "-p", "margin=0.02"]) == 0
    assert "run run-7" in capsys.readouterr().out
    (run,) = Api.started
    assert run["runtime_config"]["parameters"]["lines"] == "/data/lines"
    assert run["runtime_config"]["parameters"]["margin"] == 0.02
    assert "train" in run["pipeline_spec"]["root"]["dag"]["tasks"]
