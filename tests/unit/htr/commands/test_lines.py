"""The commands around datasets that are there: audit, split, export; what a pipeline and a person get of them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.audit.findings import read_audit
from htr.lines import LinesDataset
from tests.datasets import sound_lines, write_lines


def test_audit_exits_with_what_fail_on_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = sound_lines()
    sound, leaky = tmp_path / "sound", tmp_path / "leaky"
    write_lines(sound, [*lines[:23], replace(lines[23], text="EMPTY"), *lines[24:]])
    write_lines(leaky, [*lines[:30], replace(lines[30], writer="train-0"), *lines[31:]])
    assert main(["audit", str(sound), "--out", str(tmp_path / "1")]) == 0
    assert main(["audit", str(sound), "--out", str(tmp_path / "2"), "--fail-on", "warning"]) == 1
    assert main(["audit", str(leaky), "--out", str(tmp_path / "3")]) == 1
    assert main(["audit", str(leaky), "--out", str(tmp_path / "4"), "--fail-on", "never"]) == 0
    assert read_audit(tmp_path / "3" / "audit.jsonl").lines("writer_in_two_splits")
    assert "error    writer_in_two_splits: 1 (9 lines)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["none", "--out", "new"],
        ["d", "--out", "d"],
        ["d", "--out", "new", "--model", "none"],
        ["d", "--out", "new", "--suspects", "7"],
        ["d", "--out", "d/dataset.json/new"],
    ],
)
def test_an_audit_that_cannot_be_made_exits_with_2_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    write_lines(tmp_path / "d", sound_lines(num_train=3, num_held_out=1))
    monkeypatch.chdir(tmp_path)
    assert main(["audit", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_split_and_export_do_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(tmp_path / "d", sound_lines())
    split = ["split", str(tmp_path / "d"), "--shares", "60/20/20", "--by", "line", "--out", str(tmp_path / "s")]
    assert main(split) == 0
    assert "kept 64 lines: train 38, val 13, test 13" in capsys.readouterr().out
    assert main(["split", str(tmp_path / "d"), "--like", str(tmp_path / "s"), "--out", str(tmp_path / "t")]) == 0
    assert LinesDataset.open(tmp_path / "t").info.counts == LinesDataset.open(tmp_path / "s").info.counts
    assert main(["export", "manifest", str(tmp_path / "d"), "--out", str(tmp_path / "m")]) == 0
    assert main(["export", "page", str(tmp_path / "d"), "--out", str(tmp_path / "p")]) == 0
    assert len(list((tmp_path / "p" / "val").glob("*.xml"))) == 20
    with pytest.raises(SystemExit):
        main(["split", str(tmp_path / "d"), "--shares", "1/2", "--out", str(tmp_path / "x")])
    assert main(["split", str(tmp_path / "d"), "--shares", "0/50/50", "--out", str(tmp_path / "x")]) == 2


def test_every_layout_is_offered_without_opencv_or_torch() -> None:
    program = "import sys, htr.__main__ as m; print(any(x in sys.modules for x in ('cv2', 'torch')))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
