"""``python -m monitoring retrain``: it asks for labels, trains once, and starts nothing beside a training."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from htr.bundle import Bundle
from htr.lines import LinesWriter
from monitoring.__main__ import main
from tests.conftest import make_line
from tests.fakes import kfp_server
from tests.unit.monitoring.test_launching import write_pipelines

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def corrections(tmp_path: Path) -> Path:
    with LinesWriter(tmp_path / "corrections") as out:
        for number, text in enumerate(["one", "two", "three"]):
            out.add(make_line(text, number))
    return out.path


@pytest.fixture
def verdict(champion: Bundle, tmp_path: Path) -> Path:
    """A drift verdict about the champion, as ``check`` writes it."""
    feature = {"name": "slant", "drifted": True}
    found = {"format_version": 1, "state": "drift", "rows": 150, "rows_wanting": 0, "reference_rows": 300}
    more = {"min_rows": 100, "alpha": 0.01, "since": None, "until": None, "bundle_digest": champion.digest}
    file = tmp_path / "drift.json"
    file.write_text(json.dumps({**found, **more, "features": [feature]}))
    return file


def retrain(tmp_path: Path, *extra: str, enough: str = "3") -> list[str]:
    """Return the words of a retrain command over the fixtures' files."""
    words = ["retrain", "--verdict", tmp_path / "drift.json", "--bundle", tmp_path / "champion"]
    words += [
        "--corrections",
        tmp_path / "corrections",
        "--state",
        tmp_path / "state",
        "--min-corrections",
        enough,
    ]
    return [*map(str, words), *extra]


@pytest.mark.usefixtures("champion", "corrections", "verdict")
def test_retrain_asks_for_labels_then_trains_once_and_history_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pipelines(tmp_path, "print('pipeline got', *sys.argv[1:])")
    monkeypatch.chdir(tmp_path)
    local = ["--local-root", "runs", "-p", "lines=base", "-p", "epochs=2"]
    assert main(retrain(tmp_path, *local, enough="50")) == 0
    assert capfd.readouterr().out == "ask_for_labels: drift, but 3 corrected lines of 50; correct 47 more\n"

    assert main(retrain(tmp_path, *local)) == 0
    decided, piped, run = capfd.readouterr().out.splitlines()
    assert decided.startswith("train: drift, and 3 corrected lines")
    given = f"-p corrections={tmp_path / 'corrections'} -p lines=base -p epochs=2"
    assert piped == f"pipeline got run --root runs {given}"
    assert run.startswith("run: local-")

    assert main(retrain(tmp_path, *local)) == 0
    assert capfd.readouterr().out.startswith("ignore: these corrections were trained on already")
    assert main(retrain(tmp_path, *local, "--again")) == 0
    assert re.match(r"train: the training of .* ended well.*; repeated on request\n", capfd.readouterr().out)

    assert main(["history", "--state", str(tmp_path / "state")]) == 0
    told = [line.split("  ")[1] for line in capfd.readouterr().out.splitlines()]
    assert told[:2] == ["ask_for_labels", "train (started)"]
    assert told[2].startswith("train (done local-")
    assert told[3:5] == ["ignore", "train (started)"]
    assert told[5].startswith("train (done local-")


@pytest.mark.usefixtures("champion", "verdict")
def test_a_corrections_folder_that_is_not_there_yet_asks_for_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(retrain(tmp_path, "--local-root", "runs")) == 0
    assert capsys.readouterr().out.startswith("ask_for_labels: drift, but 0 corrected lines of 3")


@pytest.mark.usefixtures("champion", "corrections", "verdict")
def test_a_failed_pipeline_is_an_error_and_history_reports_torn_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pipelines(tmp_path, "sys.exit(5)")
    monkeypatch.chdir(tmp_path)
    assert main(retrain(tmp_path, "--local-root", "runs")) == 2
    assert capfd.readouterr().err.startswith("error: the pipeline ended with exit code 5")
    with (tmp_path / "state" / "decisions.jsonl").open("a") as stream:
        stream.write('{"format_')
    assert main(["history", "--state", str(tmp_path / "state")]) == 0
    out = capfd.readouterr().out
    assert "train (failed)" in out
    assert "skipped half-written lines: 3" in out


@pytest.mark.usefixtures("champion", "corrections", "verdict")
def test_a_wrong_package_or_none_is_refused_before_anything_is_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kfp_server() as (host, runs):
        assert main(retrain(tmp_path, "--kfp-host", host)) == 2
        assert main(retrain(tmp_path, "--kfp-host", host, "--package", str(tmp_path / "drift.json"))) == 2
    assert "--kfp-host needs --package" in capsys.readouterr().err
    assert not runs
    assert not (tmp_path / "state").exists()


def unread(*words: str, folder: Path, unbuffered: str) -> tuple[int, str]:
    """Run the program into a pipe that nobody reads; return exit code and stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "monitoring", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": unbuffered},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.usefixtures("champion", "corrections", "verdict")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_changes_nothing_of_what_is_done(tmp_path: Path, unbuffered: str) -> None:
    write_pipelines(tmp_path, "Path('began').touch()")
    for words in retrain(tmp_path, "--local-root", "runs"), ["history", "--state", "state"]:
        assert unread(*words, folder=tmp_path, unbuffered=unbuffered) == (0, "")
    assert (tmp_path / "began").exists()
    lines = (tmp_path / "state" / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["started", "done"]


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
@pytest.mark.usefixtures("champion", "corrections", "verdict")
def test_a_run_that_kubeflow_accepted_is_called_submitted(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kfp_server() as (host, runs):
        kubeflow = ["--kfp-host", host, "--package", str(package)]
        assert main(retrain(tmp_path, *kubeflow)) == 0
        assert capsys.readouterr().out.endswith("run: run-1\n")
        assert main(retrain(tmp_path, *kubeflow)) == 0
        assert "submitted already" in capsys.readouterr().out
        assert main(retrain(tmp_path, *kubeflow, "--again")) == 0
        assert capsys.readouterr().out.endswith("run: run-2\n")
    assert len(runs) == 2
    assert main(["history", "--state", str(tmp_path / "state")]) == 0
    assert "train (submitted run-1)" in capsys.readouterr().out


@pytest.fixture
def package(tmp_path: Path) -> Path:
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11-slim", install_kfp_package=False)
    def note(corrections: str) -> str:
        return corrections

    @dsl.pipeline(name="training")
    def training(corrections: str = "") -> None:
        note(corrections=corrections)

    compiler.Compiler().compile(training, str(tmp_path / "training.yaml"))
    return tmp_path / "training.yaml"


@pytest.mark.usefixtures("champion", "corrections", "verdict")
def test_a_pipeline_whose_guard_is_killed_keeps_others_out_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pipelines(tmp_path, "Path('began').touch()\nwhile Path('hold').exists(): time.sleep(0.05)")
    (tmp_path / "hold").touch()
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "monitoring", *retrain(tmp_path, "--local-root", "runs")]
    guard = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    try:
        wait_until((tmp_path / "began").exists)
        guard.kill()
        guard.wait()
        assert main(retrain(tmp_path, "--local-root", "runs", "--again")) == 0
        assert "ignore: a training is in progress" in capfd.readouterr().out
    finally:
        (tmp_path / "hold").unlink()  # the pipeline ends

    wait_until(lambda: "in progress" not in decide_again(tmp_path, capfd))
    assert "started and never ended; see whether its run is still there" in decide_again(tmp_path, capfd)

    assert main(retrain(tmp_path, "--local-root", "runs", "--again")) == 0
    assert "repeated on request" in capfd.readouterr().out


def decide_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> str:
    assert main(retrain(tmp_path, "--local-root", "runs")) == 0
    return capfd.readouterr().out


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
