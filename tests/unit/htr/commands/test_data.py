"""The commands that make lines datasets, from arguments to what the user sees."""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest

from htr.commands.data import add_parsers
from htr.commands.shown import Progress
from htr.lines import LinesDataset


def run(*arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(arguments)
    said: list[str] = []
    assert args.handler(args, said.append) == 0
    return said


def test_synth_then_import_of_what_it_wrote_reports_counts_and_digest(tmp_path: Path) -> None:
    said = run("synth", "--out", str(tmp_path / "made"), "--lines", "20", "--writers", "10")
    dataset = LinesDataset.open(tmp_path / "made")
    assert said[0].startswith("kept 20 lines: train 14, val 2, test 4")
    assert f"digest {dataset.digest}" in said

    rows = ["file_name,text,writer,split"]
    for line in dataset.lines():
        (tmp_path / f"{line.id}.png").write_bytes(line.image)
        rows.append(f'{line.id}.png,"{line.text}",{line.writer},{line.split}')
    rows.append("gone.png,text,w,train")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    out = tmp_path / "back"
    said = run("import", "manifest", str(tmp_path / "t.csv"), "--out", str(out), "--only", "split=train,val")
    assert said[0] == "kept 16 lines: train 14, val 2"
    assert said[1] == f"quarantined 1 rows: no_image 1; listed in {out / 'quarantine.csv'}"


def test_names_csv_takes_its_options(tmp_path: Path) -> None:
    run("synth", "--out", str(tmp_path / "made"), "--lines", "3", "--writers", "3")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(next(LinesDataset.open(tmp_path / "made").lines()).image)
    (tmp_path / "t.csv").write_text("FILENAME,IDENTITY\n1.png,NA\n")
    options = ["--images", str(tmp_path / "pictures"), "--split", "test"]
    said = run("import", "names-csv", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), *options)
    assert said[:2] == ["kept 1 lines: test 1", "quarantined 0 rows"]


def test_a_condition_without_an_equals_sign_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("import", "manifest", "t.csv", "--out", "out", "--only", "names")
    assert "'names' is not COLUMN=VALUE[,VALUE]" in capsys.readouterr().err


def test_progress_shows_rate_and_time_left_every_few_seconds() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = Progress("rows", stream=stream, clock=lambda: now[0])
    for done in range(1, 101):
        now[0] += 0.125  # a binary fraction, so that the sums are exact
        progress(done, 100)
    assert stream.getvalue().splitlines()[0] == "40 of 100 rows, 8/s, 8 s left"
    assert len(stream.getvalue().splitlines()) == 2


def test_progress_stays_on_one_line_of_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = [0.0]
    stream = Terminal()
    progress = Progress("rows", stream=stream, clock=lambda: now[0])
    for done in range(1, 11):
        now[0] += 0.15
        progress(done, 10)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("10 of 10 rows, 7/s, 0 s left\n")


def test_importing_needs_neither_opencv_nor_torch() -> None:
    program = "import sys, htr.commands.data; sys.exit(any(m in sys.modules for m in ('cv2', 'torch')))"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[4])
