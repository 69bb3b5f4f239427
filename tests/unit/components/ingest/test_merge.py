"""Merging corrections into the lines."""

from pathlib import Path

from components.ingest.merge import merge
from htr.lines import LinesDataset, LinesWriter
from tests.conftest import make_line


def write(path: Path, count: int, split: str, first: int = 0) -> LinesDataset:
    with LinesWriter(path) as writer:
        for n in range(first, first + count):
            writer.add(make_line(f"line {n}", n, split=split))
    return LinesDataset.open(path)


def test_corrections_go_to_training_but_for_the_share_that_is_held_back(tmp_path: Path) -> None:
    base, corrections = write(tmp_path / "a", 20, "test"), write(tmp_path / "b", 200, "test")
    info = merge(base, corrections, tmp_path / "m", held_back=0.25)
    assert info.num_lines == 220
    assert info.counts["split"]["test"] == 20
    assert 30 < info.counts["split"]["recent"] < 70
    assert info.counts["source"] == {"corrections": 200, "drawn": 20}


def test_a_correction_never_changes_side_when_more_arrive(tmp_path: Path) -> None:
    base, few, many = write(tmp_path / "a", 1, "test", 999), write(tmp_path / "b", 20, "train"), None
    many = write(tmp_path / "c", 60, "train")
    merge(base, few, tmp_path / "m1", held_back=0.3)
    merge(base, many, tmp_path / "m2", held_back=0.3)
    first = {line.id: line.split for line in LinesDataset.open(tmp_path / "m1").lines()}
    second = {line.id: line.split for line in LinesDataset.open(tmp_path / "m2").lines()}
    assert first.items() <= second.items()


def test_without_corrections_the_lines_stay_as_they_are(tmp_path: Path) -> None:
    base = write(tmp_path / "a", 5, "val")
    assert merge(base, None, tmp_path / "m", held_back=0.3).digest == base.digest
