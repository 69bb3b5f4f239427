import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.bundle import ERROR_MODEL, REFERENCE, Bundle, amend_bundle
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import READING, SAMPLE, Correction
from htr.error_model import Case, ErrorModel, Term
from htr.lines import LinesWriter
from monitoring.__main__ import main
from monitoring.sequence import History
from monitoring.verdict import read_verdict
from tests.conftest import make_line
from tests.fakes import NOON, kfp_server, log_rows, profile_rows, write_log

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def champion(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    sink = pa.BufferOutputStream()
    pq.write_table(profile_rows(300, seed=1), sink)
    reference = sink.getvalue().to_pybytes()
    return amend_bundle(Bundle.open(tiny_bundle), tmp_path / "champion", {REFERENCE: reference})


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


def corrected(folder: Path, digest: str) -> Path:
    """Write a store: two lines of a random sample, one of which was misread, and one that a reading asked for."""
    store = CorrectionStore(folder)
    for name, old, new, chosen_by in (
        ("a", "oner", "one", SAMPLE),
        ("b", "three", "three", SAMPLE),
        ("c", "", "x", READING),
    ):
        told = {"model_version": "1", "bundle_digest": digest, "image_digest": image_digest(name.encode())}
        one = Correction(id=name, time=NOON, author="Ada", old_text=old, new_text=new, chosen_by=chosen_by, **told)
        store.add(one, name.encode())
    return folder


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


def write_pipelines(folder: Path, body: str) -> None:
    """Write a program that stands where ``python -m pipelines`` is looked for."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    text = f"import sys, time\nfrom pathlib import Path\n{body}\n"
    (folder / "pipelines" / "__main__.py").write_text(text)


def test_check_finds_drift_in_the_champions_rows_only(champion: Bundle, tmp_path: Path) -> None:
    drifted = log_rows(profile_rows(150, seed=2, slant=2), bundle_digest=champion.digest)
    log = write_log(tmp_path / "log", drifted)
    write_log(log, log_rows(profile_rows(50, seed=3), bundle_digest="sha256:other"), "20261120T130000-1-1.parquet")
    words = ["check", "--bundle", champion.path, "--log", log, "--out", tmp_path / "out", "--exit-code"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "monitoring", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    first, slant, since, *examples = done.stdout.splitlines()
    assert first.startswith("drift: 1 of 28 features drifted, 150 readings against 300 of the reference, p 0.00")
    assert re.match(r"  slant +shift \+0\.\d+ .* higher$", slant)
    assert since == "  since: the whole window"
    assert all(re.match(r"  for example: request request-\d+, image 0 \(slant\)$", line) for line in examples)
    assert not done.stderr
    written = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert written["bundle_digest"] == champion.digest
    assert (tmp_path / "out" / "drift.html").stat().st_size > 100_000


def test_check_reports_too_few_rows_and_exits_with_4_when_asked(
    champion: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log", log_rows(profile_rows(130, seed=2), bundle_digest=champion.digest))
    words = ["check", "--bundle", str(champion.path), "--log", str(log), "--out", str(tmp_path / "out")]
    assert main([*words, "--newest", "30"]) == 0
    assert capsys.readouterr().out.startswith("not enough: 30 readings against 300 of the reference; 70 more")
    since = (NOON + timedelta(seconds=100)).replace(tzinfo=None).isoformat()
    assert main([*words, "--since", since, "--exit-code"]) == 4
    assert capsys.readouterr().out.startswith("not enough: 30 readings")


def test_check_says_when_all_readings_are_by_other_models_and_can_take_them(
    champion: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log", log_rows(profile_rows(20, seed=2), bundle_digest="sha256:other"))
    words = ["check", "--bundle", str(champion.path), "--log", str(log), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "The log holds 20 readings by other models; --all-models" in capsys.readouterr().out
    assert main([*words, "--all-models"]) == 0
    assert capsys.readouterr().out.startswith("not enough: 20 readings")


def test_check_takes_a_reference_file_and_is_quiet_where_nothing_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(profile_rows(300, seed=1), tmp_path / "reference.parquet")
    log = write_log(tmp_path / "log", log_rows(profile_rows(150, seed=2), bundle_digest="sha256:any"))
    words = ["check", "--reference", str(tmp_path / "reference.parquet"), "--log", str(log)]
    assert main([*words, "--out", str(tmp_path / "out"), "--exit-code"]) == 0
    assert capsys.readouterr().out.startswith("quiet: 0 of 28 features drifted")
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["bundle_digest"] == "sha256:any"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "--bundle", "nowhere", "--log", "log", "--out", "out"], "error: nowhere: not a model bundle"),
        (
            ["check", "--bundle", "champion", "--log", "nowhere", "--out", "out"],
            "error: nowhere: no prediction log",
        ),
        (["check", "--reference", "no.parquet", "--log", "log", "--out", "out"], "error: no.parquet: not a refer"),
        (
            ["check", "--bundle", "champion", "--log", "log", "--out", "out", "--alpha", "2"],
            "error: alpha must lie",
        ),
        (["history", "--state", "nowhere"], "error: nowhere: no such state folder"),
    ],
)
def test_a_user_error_is_one_line_and_leaves_nothing_behind(
    champion: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    (tmp_path / "log").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_check_refuses_a_bundle_without_a_reference(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--bundle", str(tiny_bundle), "--log", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "has no reference.parquet; evaluate the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--newest", "0"], ["--since", "noon"], ["--min-rows", "many"], ["--alert", "3/2"]]
)
def test_an_option_of_no_meaning_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["check", "--bundle", "b", "--log", "l", "--out", "o", *words])
    assert f"argument {words[0]}: expected a" in capsys.readouterr().err


TRIED = Case(name="blur 1", lines=50, estimated=0.2, measured=0.2)


def test_check_tells_error_rates_and_raises_an_alert_when_a_second_window_drifts(
    champion: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = {"entropy": 3.0}
    curve = Term(feature="entropy", lowest=0.0, highest=9.0, mean=3.0, scale=1.0, slope=2.0, curve=0.0)
    model = ErrorModel(offset=-2.0, terms=(curve,), spread=0.2, cases=(TRIED,), fitted_rows=300)
    bundle = amend_bundle(champion, tmp_path / "with errors", {ERROR_MODEL: model.to_bytes()})
    log, history = tmp_path / "log", tmp_path / "kept" / "windows.jsonl"
    words = ["check", "--bundle", str(bundle.path), "--log", str(log), "--out", str(tmp_path / "out")]
    words += ["--history", str(history), "--corrections", str(corrected(tmp_path / "store", bundle.digest))]
    told = []
    for number in range(3):
        start = NOON + timedelta(hours=number)
        rows = log_rows(profile_rows(150, seed=5 + number, **loud), bundle_digest=bundle.digest, start=start)
        write_log(log, rows, f"20261120T12000{number}-1-0.parquet")
        assert main([*words, "--newest", "150"]) == 0
        told.append(capsys.readouterr().out)
    assert ["no alert: 1 of the last 1" in told[0], "ALERT: 2 of the last 2" in told[1]] == [True, True]
    assert re.search(r"estimated CER \d+\.\d% \[.*at evaluation: worse", told[2])
    assert "measured CER 12.5% [" in told[2]
    verdict = read_verdict(tmp_path / "out" / "drift.json")
    assert verdict["alert"] == {"raised": True, "drifted_windows": 3, "windows": 3, "needed": 2, "of": 3}
    assert verdict["measured"]["lines"] == 2
    assert [window.state for window in History(history).read()] == ["drift"] * 3
    with history.open("a") as out:
        out.write("torn")
    assert [window.state for window in History(history).read()] == ["drift"] * 3


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


def test_telemetry_is_off_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["history", "--state", str(tmp_path)]
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    main(words)
    assert os.environ["DO_NOT_TRACK"] == "0"
    monkeypatch.delenv("DO_NOT_TRACK")
    main(words)
    assert os.environ["DO_NOT_TRACK"] == "1"


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
