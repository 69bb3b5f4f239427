"""The commands train, evaluate, calibrate and read."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from htr.__main__ import main
from htr.bundle import REFERENCE, Bundle
from htr.lines import LinesWriter
from htr.model import PRESETS
from htr.recogniser import Recogniser
from tests.conftest import line_png, make_line


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "b.png", tmp_path / "a.png"]
    for n, file in enumerate(files):
        file.write_bytes(line_png(f"some text {n}", seed=n))
    return files


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    with LinesWriter(tmp_path / "lines") as writer:
        for n in range(12):
            writer.add(make_line("one two", n, split=("train", "train", "val", "test")[n % 4]))
    return tmp_path / "lines"


def test_read_answers_in_the_order_given(
    tiny_bundle: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(file) for file in images]
    wanted = [reading.text for reading in Recogniser.load(tiny_bundle).read(file.read_bytes() for file in images)]
    assert main(["read", "--bundle", str(tiny_bundle), *names, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [(a["file"], a["text"]) for a in answers] == list(zip(names, wanted, strict=True))
    assert main(["read", "--bundle", str(tiny_bundle), *names]) == 0
    assert capsys.readouterr().out.splitlines() == wanted


def test_one_bad_file_is_named_and_does_not_spoil_the_others(
    tiny_bundle: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    files = [str(images[0]), str(tmp_path / "bad.png"), str(tmp_path / "missing.png"), str(images[1])]
    assert main(["read", "--bundle", str(tiny_bundle), "--json", *files]) == 2
    told = capsys.readouterr()
    answers = json.loads(told.out)
    assert [a["text"] is None for a in answers] == [False, True, True, False]
    assert [line.split(": ")[1] for line in told.err.splitlines()] == files[1:3]


def test_read_tells_characters_and_alternatives_where_asked(
    tiny_bundle: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(images[0])
    assert main(["read", "--bundle", str(tiny_bundle), "--json", "--characters", "--alternatives", "3", name]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert "".join(one["character"] for one in answer["characters"]) == answer["text"]
    assert all(0 <= one["left"] <= one["right"] and 0 <= one["confidence"] <= 1 for one in answer["characters"])
    assert answer["alternatives"][0]["text"] == answer["text"]
    assert 1 < len(answer["alternatives"]) <= 3
    assert main(["read", "--bundle", str(tiny_bundle), "--json", name]) == 0
    assert sorted(json.loads(capsys.readouterr().out)[0]) == ["confidence", "file", "text", "verdicts"]


def test_read_says_which_text_is_not_to_be_relied_on(
    tiny_bundle: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(images[0]), str(tmp_path / "blank.png"), str(tmp_path / "wide.png")]
    Image.new("L", (800, 60), 230).save(names[1])
    Image.open(images[0]).convert("L").resize((20_000, 40)).save(names[2])
    assert main(["read", "--bundle", str(tiny_bundle), *names, "--json"]) == 0
    told = capsys.readouterr()
    assert [answer["verdicts"] for answer in json.loads(told.out)] == [["ok"], ["blank"], ["too_long"]]
    assert main(["read", "--bundle", str(tiny_bundle), *names]) == 0
    assert capsys.readouterr().err == told.err
    said = [line.split(": ")[:2] for line in told.err.splitlines()]
    assert said == [[names[1], "blank"], [names[2], "too_long"]]


def test_tuning_through_the_command(
    lines: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", str(lines), "--bundle", str(tiny_bundle), "--out", str(tmp_path / "t"), "--beam", "4"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "CER on 3 val lines" in told.out
    assert "weight 0.70" in told.err
    Recogniser.load(tmp_path / "t").read([line_png("some text")])


def test_training_then_evaluating_through_the_commands(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, report = tmp_path / "b", tmp_path / "report.json"
    assert main(["train", str(lines), "--out", str(bundle), "--max-lines", "12"]) == 0
    assert Bundle.open(bundle).trained_lines == 6
    assert main(["evaluate", str(lines), "--bundle", str(bundle), "--out", str(report)]) == 0
    told = capsys.readouterr().out
    assert "all: 3 lines, CER" in told
    assert "confidence: expected calibration error" in told
    assert json.loads(report.read_text())["challenger"]["splits"]["test"]["lines"] == 3


SMALL = {"channels": [4, 4, 8, 8], "squeeze": 16, "width": 8}


def test_a_files_settings_of_the_network_stand_above_the_named_shape(lines: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"model": {**SMALL, "layers": 1, "dropout": 0.3}}))
    words = ["train", str(lines), "--out", str(tmp_path / "b"), "--max-lines", "6", "--model", "gru"]
    assert main([*words, "--config", str(tmp_path / "s.json")]) == 0
    made, named = Bundle.open(tmp_path / "b").architecture, PRESETS["gru"].to_dict()
    assert made == {**named, **SMALL, "layers": 1, "dropout": 0.3}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"dropout": 0.3, "residual": [0, 1, 0, 0]}, ""),
        ({"dropout": 0.3, "height": 16, "channels": [4, 4, 8, 8]}, ""),  # the base's own
        ({"dropout": 0.3, "width": 64, "encoder": "gru"}, "model.encoder, model.width"),
    ],
)
def test_only_what_applies_to_a_bases_network_is_taken_with_it(
    model: dict[str, Any],
    told: str,
    lines: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"model": model}))
    words = ["train", str(lines), "--base", str(tiny_bundle), "--config", str(tmp_path / "s.json")]
    assert main([*words, "--out", str(tmp_path / "x"), "--max-lines", "6"]) == (2 if told else 0)
    message = capsys.readouterr().err
    if told:
        assert f"{told} cannot be chosen" in message
        assert "model.dropout and model.residual" in message
    else:
        assert Bundle.open(tmp_path / "x").architecture["dropout"] == 0.3


def test_calibrating_changes_the_confidence_and_nothing_else(
    lines: Path, tiny_bundle: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", str(lines), "--bundle", str(tiny_bundle), "--out", str(tmp_path / "c")]
    assert main(words) == 0
    assert "fitted on 3 lines of split 'val'" in capsys.readouterr().out
    before, after = Bundle.open(tiny_bundle), Bundle.open(tmp_path / "c")
    assert {name: after.files[name] for name in before.files} == before.files
    assert set(after.files) - set(before.files) == {REFERENCE}
    assert after.parity.lines == 3
    assert (before.calibration.length_slope, after.calibration.length_slope is None) == (None, False)
    pictures = [file.read_bytes() for file in images]
    old, new = (Recogniser(bundle, precision="fp32").read(pictures) for bundle in (before, after))
    assert [(r.text, r.log_prob) for r in old] == [(r.text, r.log_prob) for r in new]
    assert [r.confidence for r in old] != [r.confidence for r in new]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "{lines}", "--out", "{lines}"], "already there"),
        (["train", "{lines}", "--out", "{tmp}/x", "--max-lines", "0"], "max_lines must be within"),
        (["train", "{tmp}", "--out", "{tmp}/x"], "not a lines dataset"),
        (["train", "{lines}", "--out", "{tmp}/x", "--base", "{bundle}", "--model", "strong"], "leave out --model"),
        (
            ["train", "{lines}", "--out", "{tmp}/x", "--model", "fast", "--config", "{tmp}/odd.json"],
            "model.masking",
        ),
        (["train", "{lines}", "--out", "{tmp}/x", "--model", "fast", "--config", "{tmp}/no.json"], "be an object"),
        (
            ["train", "{lines}", "--out", "{tmp}/x", "--base", "{bundle}", "--config", "{tmp}/no.json"],
            "be an object",
        ),
        (["evaluate", "{lines}", "--bundle", "{bundle}", "--split", "recent"], "no line in split 'recent'"),
        (["evaluate", "{lines}", "--bundle", "{bundle}", "--out", "{tmp}/no/where"], "cannot be written"),
        (["calibrate", "{lines}", "--bundle", "{bundle}", "--split", "recent", "--out", "{tmp}/x"], "no readable"),
        (["calibrate", "{lines}", "--bundle", "{bundle}", "--out", "{lines}"], "already there"),
        (
            ["calibrate", "{tmp}/none", "--bundle", "{bundle}", "--out", "{lines}"],
            "already there",
        ),  # before the work
        (["read", "{tmp}/a.png", "--bundle", "{tmp}"], "not a model bundle"),
        (["read", "{tmp}/a.png", "--bundle", "{bundle}", "--characters"], "add --json"),
        (["read", "{tmp}/a.png", "--bundle", "{bundle}", "--json", "--alternatives", "-1"], "within 0..1024"),
        (["tune", "{lines}", "--bundle", "{bundle}", "--out", "{lines}"], "already there"),
        (["tune", "{lines}", "--bundle", "{bundle}", "--out", "{tmp}/x", "--beam", "0"], "within 1..1024"),
    ],
)
def test_a_mistake_ends_in_one_message(
    words: list[str], told: str, lines: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.json").write_text('{"model": {"dropout": 0.3, "masking": 1}}')
    (tmp_path / "no.json").write_text('{"model": "fast"}')
    places = {"lines": lines, "tmp": tmp_path, "bundle": tiny_bundle}
    assert main([word.format(**places) for word in words]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert told in message
    assert not (tmp_path / "x").exists()
