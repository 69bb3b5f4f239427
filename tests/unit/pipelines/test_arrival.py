"""Setting a hand aside that arrives later."""

from pathlib import Path

import pytest

from htr.errors import DataError
from htr.lines import LinesDataset, LinesWriter
from pipelines.arrival import LEAST_LINES, check_size, set_aside
from tests.conftest import make_line

SPLITS = ("train", "val", "test", "train")


def dataset(path: Path, sources: dict[str, int], writers: int = 8) -> LinesDataset:
    with LinesWriter(path) as writer:
        number = 0
        for source, count in sources.items():
            for _ in range(count):
                hand = number % writers
                writer.add(make_line("text", number, source=source, writer=f"w{hand}", split=SPLITS[hand % 4]))
                number += 1
    return LinesDataset.open(path)


def test_the_smallest_source_that_is_large_enough_arrives(tmp_path: Path) -> None:
    whole = dataset(tmp_path / "d", {"many": 200, "some": LEAST_LINES, "few": 8})
    aside = set_aside(whole, tmp_path / "base", tmp_path / "new")
    assert aside.what == "source 'some'"
    assert (aside.base_lines, aside.arriving_lines) == (208, LEAST_LINES)
    assert set(LinesDataset.open(tmp_path / "new").info.counts["source"]) == {"some"}


def test_a_source_that_is_named_arrives_and_one_that_cannot_is_refused(tmp_path: Path) -> None:
    whole = dataset(tmp_path / "d", {"many": 200, "some": LEAST_LINES, "few": 8})
    aside = set_aside(whole, tmp_path / "base", tmp_path / "new", source="many")
    assert (aside.what, aside.arriving_lines) == ("source 'many'", 200)
    for name, told in (("few", "'few' has 8 lines"), ("none", "'none' has 0 lines")):
        with pytest.raises(DataError, match=told):
            set_aside(whole, tmp_path / "a", tmp_path / "b", source=name)
    assert not (tmp_path / "a").exists()


def test_with_one_source_some_writers_arrive_and_none_is_in_both(tmp_path: Path) -> None:
    whole = dataset(tmp_path / "d", {"one": 400}, writers=16)
    aside = set_aside(whole, tmp_path / "base", tmp_path / "new")
    assert aside.base_lines + aside.arriving_lines == 400
    assert aside.arriving_lines >= LEAST_LINES
    hands = [{line.writer for line in LinesDataset.open(tmp_path / n).lines()} for n in ("base", "new")]
    assert hands[0].isdisjoint(hands[1])


def test_too_few_lines_are_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    whole = dataset(tmp_path / "d", {"one": 30})
    with pytest.raises(DataError, match="too few"):
        set_aside(whole, tmp_path / "base", tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_lines_without_writers_pages_or_sources_can_still_be_set_aside(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        for n in range(400):
            writer.add(make_line("text", n, source="", writer="", page="", split=SPLITS[n % 4]))
    aside = set_aside(LinesDataset.open(tmp_path / "d"), tmp_path / "base", tmp_path / "new")
    assert aside.arriving_lines == LEAST_LINES
    assert aside.base_lines == 400 - LEAST_LINES


def test_a_hand_that_is_too_small_is_refused_at_once(tmp_path: Path) -> None:
    check_size(dataset(tmp_path / "enough", {"one": LEAST_LINES}))
    with pytest.raises(DataError, match="drift is judged on 100"):
        check_size(dataset(tmp_path / "small", {"one": LEAST_LINES - 1}))
