"""The model that ships."""

import json
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.bundle import Bundle
from htr.export import load_net
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from tests.conftest import line_png, make_line
from tests.datasets import write_lines


def test_it_is_whole_small_and_fit_to_train_on() -> None:
    bundle = Bundle.open(resolve(PRETRAINED))
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= 12e6
    assert bundle.parity.trusted
    assert bundle.decoding is not None
    assert load_net(bundle).num_classes == len(bundle.alphabet)


def test_it_reads_where_no_bundle_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(line_png("Paris le 12 mai"))
    assert main(["read", str(tmp_path / "a.png"), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    (reading,) = Recogniser.load(resolve(PRETRAINED)).read([line_png("Paris le 12 mai")])
    assert answer["text"] == reading.text != ""


@pytest.mark.parametrize("verb", ["evaluate", "calibrate", "tune"])
def test_every_verb_knows_it_by_name(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where no folder has that name
    splits = ("train", "val", "test")
    lines = write_lines(
        tmp_path / "lines", [make_line("il pleut", number, split=split) for number, split in enumerate(splits)]
    )
    out = [] if verb == "evaluate" else ["--out", str(tmp_path / "out")]
    assert main([verb, str(lines.path), "--bundle", PRETRAINED, *out]) == 0, capsys.readouterr().err
    if out:
        assert Bundle.open(tmp_path / "out").alphabet == Bundle.open(resolve(PRETRAINED)).alphabet


def test_another_name_is_a_folder(tmp_path: Path) -> None:
    assert resolve(str(tmp_path)) == tmp_path
