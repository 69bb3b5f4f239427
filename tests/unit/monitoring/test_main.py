import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from htr.bundle import ERROR_MODEL, Bundle, amend_bundle
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import READING, SAMPLE, Correction
from htr.error_model import Case, ErrorModel, Term
from monitoring.__main__ import main
from monitoring.sequence import History
from monitoring.verdict import read_verdict
from tests.fakes import NOON, log_rows, profile_rows, write_log

REPOSITORY = Path(__file__).parents[3]


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


def test_telemetry_is_off_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["history", "--state", str(tmp_path)]
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    main(words)
    assert os.environ["DO_NOT_TRACK"] == "0"
    monkeypatch.delenv("DO_NOT_TRACK")
    main(words)
    assert os.environ["DO_NOT_TRACK"] == "1"
