"""Pipeline parameters, compiling, and what users are told."""

import json
from pathlib import Path

import pytest
import yaml

from htr.errors import SettingsError
from pipelines.__main__ import main, parameters


def test_parameters_get_the_types_that_the_pipeline_declares() -> None:
    found = parameters(["lines=/d", "cer_ceiling=0.4", 'settings={"seed": 2}'])
    assert found == {"lines": "/d", "cer_ceiling": 0.4, "settings": {"seed": 2}}


@pytest.mark.parametrize("pair", ["lines", "unknown=1", "margin=much", "settings={", "settings=[]", "settings=3"])
def test_a_parameter_that_makes_no_sense_is_named(pair: str) -> None:
    with pytest.raises(SettingsError, match="-p"):
        parameters([pair])


@pytest.mark.parametrize("settings", ['{"max_line": 500}', '{"max_lines": "many"}', '{"model": {"widht": 160}}'])
def test_training_settings_that_make_no_sense_are_told_before_anything_runs(settings: str) -> None:
    with pytest.raises(SettingsError, match=r"max_line|widht"):
        parameters([f"settings={settings}"])


def test_the_compiled_pipeline_holds_every_step_and_its_condition(tmp_path: Path) -> None:
    assert main(["compile", "--out", str(tmp_path / "p.yaml")]) == 0
    spec, platform = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert set(spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "report"}
    steps = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert set(steps) == {
        "ingest", "validate", "champion", "train", "evaluate", "gate", "register", "condition-2",
    }  # fmt: skip
    assert "== true" in steps["condition-2"]["triggerPolicy"]["condition"]
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-train"]["container"]["resources"]["accelerator"]["resourceCount"] == "1"
    assert all(e["container"]["image"] == "quillflow/components:dev" for e in executors.values())
    assert "pip install" not in json.dumps(executors)
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(placed) == set(executors)
    nobody = {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
    assert all(one["securityContext"] == nobody for one in placed.values())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--root", "{}/r"], "-p lines=DIR"),
        (["run", "--root", "{}/file/r", "-p", "lines=/d"], "file"),
        (
            ["run", "--root", "{}/r", "-p", "lines=/d", "-p", "settings=5"],
            "settings must be an object in JSON",
        ),
        (["loop", "--runs", "{}/r", "--budget", "0"], "--budget"),
        (["compile", "--out", "{}/file/p.yaml"], "file"),
        (["loop", "--runs", "{}/r", "--lines", "{}/nowhere"], "not a lines dataset"),
        (["loop", "--runs", "{}/r", "--arriving", "{}"], "--arriving goes with --lines"),
        (["loop", "--runs", "{}/file/r"], "cannot be written"),
        (["up", "--run", "{}/nowhere"], "make run"),
        (["submit", "--host", "http://127.0.0.1:1", "-p", "lines=/d"], "http://127.0.0.1:1: Kubeflow Pipelines"),
        (["submit", "-p", "lines=/d"], "--host"),
        (["submit", "--host", "localhost:8888", "-p", "lines=/d"], "http://"),
        (["submit", "--host", "http://127.0.0.1:1"], "-p lines="),
        (["schedule", "--host", "http://127.0.0.1:1", "-p", "lines=/d"], "--cron"),
        (["submit", "--site", "{}/nowhere.toml", "-p", "lines=/d"], "nowhere.toml"),
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
