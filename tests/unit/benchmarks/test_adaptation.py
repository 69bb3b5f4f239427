"""The benchmarks that train: on a few drawn lines, from their arguments to their tables."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import ablations, adaptation
from htr.bundle import Bundle
from htr.lines import CORRECTIONS, LinesDataset
from tests.conftest import make_line
from tests.datasets import write_lines

WORDS = ("one two", "three", "seven", "eleven", "two ten", "nine")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    """Two hands: `old` in all splits, `new` in one."""
    old = [
        make_line(WORDS[n % 6], n, split=("train", "train", "val", "test")[n % 4], source="old") for n in range(32)
    ]
    new = [make_line(WORDS[n % 6], n, split="train", source="new") for n in range(32, 92)]
    return write_lines(tmp_path_factory.mktemp("lines") / "lot", [*old, *new])


def test_a_curve_is_measured_on_lines_that_no_point_learnt(
    lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--hand", "new", "--corrected", "2,6", "--shown", "24", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["adaptation.py", str(lines.path), *arguments])
    adaptation.main()
    (folder,) = tmp_path.iterdir()
    told = json.loads((folder / "adaptation.json").read_text(encoding="utf-8"))
    assert [point["corrected"] for point in told["points"]] == [0, 2, 6]
    assert (folder / "adaptation.png").read_bytes()[:4] == b"\x89PNG"
    judged = {line.image for line in LinesDataset.open(folder / "judged").lines()}
    learnt = [
        {line.image for line in LinesDataset.open(path).lines() if line.source == CORRECTIONS}
        for path in sorted(folder.glob("lines-*"), key=lambda path: len(LinesDataset.open(path)))
    ]
    assert [len(images) for images in learnt] == [2, 6]
    assert learnt[0] < learnt[1]
    assert judged.isdisjoint(learnt[1])
    assert len(judged) == 60 - 6 == told["judged"]
    assert capsys.readouterr().out.count("\n| ") == 3


def test_too_few_lines_of_a_hand_are_refused(
    lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["adaptation.py", str(lines.path), "--hand", "new", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        adaptation.main()
    assert "60 lines of source 'new'; needs 306" in capsys.readouterr().err


def test_variants_are_trained_once_and_compared_with_the_recipe(
    lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--max-lines", "16", "--only", "averaged weights", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["ablations.py", str(lines.path), *arguments])
    ablations.main()
    first = capsys.readouterr().out
    assert "| averaged weights | " in first
    monkeypatch.setattr(ablations, "train", None)  # nothing is left to train
    ablations.main()
    assert capsys.readouterr().out == first


def test_variants_can_start_from_a_bundle_but_not_bring_another_network(
    lines: LinesDataset,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ablate(variant: str) -> str:
        arguments = ["--max-lines", "16", "--base", str(tiny_bundle), "--only", variant, "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["ablations.py", str(lines.path), *arguments])
        ablations.main()
        return capsys.readouterr().out

    assert "| dropout 0.3 | " in ablate("dropout 0.3")
    (trained,) = tmp_path.glob("*/dropout-0.3/bundle")
    bundle, base = Bundle.open(trained), Bundle.open(tiny_bundle)
    assert bundle.base_digest == base.digest
    assert bundle.architecture == {**base.architecture, "dropout": 0.3}
    with pytest.raises(SystemExit):
        ablate("two layers")
    assert "['two layers'] choose a network's shape" in capsys.readouterr().err
