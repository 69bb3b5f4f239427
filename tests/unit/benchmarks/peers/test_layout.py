import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.peers.layout import lay_out
from benchmarks.peers.protocol import Settings
from htr.errors import DataError
from htr.lines import Line, LinesDataset
from tests.conftest import make_line
from tests.datasets import sound_lines, write_lines

SETTINGS = Settings(val_lines=7)


def test_every_line_lies_as_an_image_of_one_height_with_its_text_beside_it(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "in", sound_lines())
    layout = lay_out(dataset, tmp_path / "out", SETTINGS)
    texts = {line.id: line.text for line in dataset.lines()}
    assert {split: len(lines) for split, lines in layout.lines.items()} == {"train": 24, "val": 7, "test": 20}
    for split, lines in layout.lines.items():
        assert layout.list_file(split).read_text().splitlines() == [line.file for line in lines]
        for line in lines:
            file = Path(line.file)
            assert file.is_absolute()
            assert file.stem.isalnum()  # no dot but the last: Calamari cuts at the first
            image = Image.open(file)
            assert (image.mode, image.height) == ("L", 48)
            assert file.with_suffix(".gt.txt").read_text(encoding="utf-8") == f"{texts[line.id]}\n"
            assert line.text == texts[line.id]


def test_ours_learns_from_the_same_pixels(tmp_path: Path) -> None:
    layout = lay_out(write_lines(tmp_path / "in", sound_lines()), tmp_path / "out", SETTINGS)
    ours = {line.id: line for line in LinesDataset.open(layout.dataset).lines()}
    for split, lines in layout.lines.items():
        for line in lines:
            assert ours[line.id].image == Path(line.file).read_bytes()
            assert (ours[line.id].split, ours[line.id].height) == (split, 48)
    assert len(ours) == 24 + 7 + 20


def test_the_aspect_is_kept(tmp_path: Path) -> None:
    lines = sound_lines()
    layout = lay_out(write_lines(tmp_path / "in", lines), tmp_path / "out", SETTINGS)
    widths = {line.id: line.width * 48 / line.height for line in lines}
    for line in layout.lines["test"]:
        assert Image.open(line.file).width == round(widths[line.id])


def test_the_same_seed_draws_the_same_lines_whatever_their_order(tmp_path: Path) -> None:
    lines = sound_lines()
    one = lay_out(write_lines(tmp_path / "a", lines), tmp_path / "one", SETTINGS)
    two = lay_out(write_lines(tmp_path / "b", lines[::-1]), tmp_path / "two", SETTINGS)
    other = lay_out(write_lines(tmp_path / "c", lines), tmp_path / "three", replace(SETTINGS, seed=2))

    def drawn(layout: object) -> set[str]:
        return {line.id for line in layout.lines["val"]}  # type: ignore[attr-defined]

    assert drawn(one) == drawn(two)
    assert drawn(one) != drawn(other)


def test_a_damaged_image_is_left_out_for_all_and_counted(tmp_path: Path) -> None:
    damaged = Line(id="bad", image=b"no image", text="x", split="test", width=3, height=3)
    layout = lay_out(write_lines(tmp_path / "in", [*sound_lines(), damaged]), tmp_path / "out", SETTINGS)
    assert layout.excluded == {"test: undecodable": 1}
    assert len(layout.lines["test"]) == 20


def test_what_is_there_is_taken_and_what_changed_is_written_anew(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "in", sound_lines())
    first = lay_out(dataset, tmp_path / "out", SETTINGS)
    marker = tmp_path / "out" / "marker"
    marker.touch()
    assert lay_out(dataset, tmp_path / "out", SETTINGS) == first
    assert marker.exists()
    higher = lay_out(dataset, tmp_path / "out", replace(SETTINGS, height=64))
    assert not marker.exists()
    assert Image.open(higher.lines["val"][0].file).height == 64


def test_a_dataset_without_test_lines_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "in", [line for line in sound_lines() if line.split != "test"])
    with pytest.raises(DataError, match="split 'test'"):
        lay_out(dataset, tmp_path / "out", SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_line_of_extreme_width_cannot_stop_a_peer(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("L", (9000, 4), 200).save(out, "PNG")
    wide = Line(id="wide", image=out.getvalue(), text="x", split="train", width=9000, height=4)
    narrow = make_line("y", 999, split="train")
    layout = lay_out(write_lines(tmp_path / "in", [wide, narrow, *sound_lines()]), tmp_path / "out", SETTINGS)
    (found,) = (line for line in layout.lines["train"] if line.id == "wide")
    assert Image.open(found.file).size == (4096, 48)
