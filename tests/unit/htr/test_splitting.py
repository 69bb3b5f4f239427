"""Splits: by group, balanced source by source, the same whatever the order, and for ever."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.errors import SettingsError
from htr.lines import CORRECTIONS, LinesDataset
from htr.splitting import DEALT, Place, Shares, new_splits, split_dataset
from tests.conftest import make_line
from tests.datasets import write_lines

SHARES = Shares()
PROPERTIES = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def collections(draw: st.DrawFn) -> list[Place]:
    """Draw lines of some sources, each with writers of a few lines; every source has hands of its own."""
    sizes = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), min_size=1, max_size=60))
    return [
        Place(id=f"{writer}-{n}", writer=f"w{writer}", page="", source=f"s{source}", split="train")
        for writer, (source, size) in enumerate(sizes)
        for n in range(size)
    ]


@given(places=collections(), seed=st.randoms())
@PROPERTIES
def test_no_writer_is_parted_and_the_order_does_not_matter(places: list[Place], seed: object) -> None:
    splits = new_splits(places, by="writer", shares=SHARES)
    of_writer: dict[str, set[str]] = {}
    for place in places:
        of_writer.setdefault(place.writer, set()).add(splits[place.id])
    assert all(len(found) == 1 for found in of_writer.values())
    shuffled = list(places)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert new_splits(shuffled, by="writer", shares=SHARES) == splits


@given(places=collections())
@PROPERTIES
def test_every_source_has_its_shares_up_to_the_size_of_a_group(places: list[Place]) -> None:
    splits = new_splits(places, by="writer", shares=SHARES)
    for source in {place.source for place in places}:
        own = [place for place in places if place.source == source]
        largest = max(Counter(place.writer for place in own).values())
        have = Counter(splits[place.id] for place in own)
        for split in DEALT:
            assert abs(have[split] - SHARES.of(split) * len(own)) <= 2 * largest
        if len({place.writer for place in own}) > 3:
            assert all(have[split] for split in DEALT)


@given(places=collections(), later=collections(), rounds=st.integers(1, 4))
@PROPERTIES
def test_a_line_never_changes_its_split_when_lines_are_added(
    places: list[Place], later: list[Place], rounds: int
) -> None:
    known: list[Place] = []
    additions = [places, *(later[n::rounds] for n in range(rounds))]
    everything: dict[str, Place] = {}
    for number, added in enumerate(additions):
        everything |= {f"{number}-{place.id}": replace(place, id=f"{number}-{place.id}") for place in added}
        splits = new_splits(list(everything.values()), by="writer", shares=SHARES, known=known)
        assert all(splits[place.id] == place.split for place in known)
        of_writer = {place.writer: place.split for place in known}
        assert all(splits[p.id] == of_writer[p.writer] for p in everything.values() if p.writer in of_writer)
        known = [replace(place, split=splits[place.id]) for place in everything.values()]


def test_hands_that_share_a_page_stay_together_unless_pages_are_asked_for() -> None:
    places = [
        Place(id=f"{n}", writer=f"w{n % 20}", page=f"p{n // 2}", source="s", split="train") for n in range(200)
    ]
    by_page = new_splits(places, by="page", shares=SHARES)
    assert all(by_page[f"{n}"] == by_page[f"{n + 1}"] for n in range(0, 200, 2))
    by_writer = new_splits(places, by="writer", shares=SHARES)
    for n in range(0, 200, 2):
        assert by_writer[f"{n}"] == by_writer[f"{n + 1}"] == by_writer[f"{(n + 20) % 200}"]
    assert set(by_page.values()) == set(DEALT)
    assert Counter(new_splits(places, by="line", shares=SHARES).values()) == {"train": 160, "val": 20, "test": 20}


def test_recent_and_corrected_lines_stay_where_they_are() -> None:
    held = Place(id="a", writer="w", page="", source=CORRECTIONS, split="recent")
    corrected = Place(id="b", writer="w", page="", source=CORRECTIONS, split="train")
    other = [Place(id=f"{n}", writer="w", page="", source="s", split="test") for n in range(5)]
    splits = new_splits([held, corrected, *other], by="writer", shares=SHARES)
    assert (splits["a"], splits["b"]) == ("recent", "train")
    assert len({splits[place.id] for place in other}) == 1


def test_a_dataset_is_split_anew_with_its_lineage_and_its_quarantine(tmp_path: Path) -> None:
    lines = [make_line(f"text {n}", n, writer=f"w{n // 4}") for n in range(40)]
    old = write_lines(tmp_path / "old", lines[:32])
    first = split_dataset(old, tmp_path / "first")
    assert set(first.counts["split"]) == set(DEALT)
    assert first.lineage["parent"] == old.digest
    (tmp_path / "first" / "quarantine.csv").write_text("name,reason,detail\nx,no_image,why\n")
    more = write_lines(tmp_path / "more", lines)
    again = split_dataset(more, tmp_path / "again", like=LinesDataset.open(tmp_path / "first"))
    known = {line.id: line.split for line in LinesDataset.open(tmp_path / "first").lines()}
    new = {line.id: line for line in LinesDataset.open(tmp_path / "again").lines()}
    assert all(new[line_id].split == split for line_id, split in known.items())
    assert [replace(line, split="train") for line in new.values()] == lines
    assert again.lineage["like"] == LinesDataset.open(tmp_path / "first").digest
    third = split_dataset(LinesDataset.open(tmp_path / "first"), tmp_path / "third")
    assert third.counts["quarantined"] == {"no_image": 1}


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingsError, match="add up to 1"):
        Shares(train=0.5, val=0.1, test=0.1)
    with pytest.raises(SettingsError, match="choose one of"):
        new_splits([], by="moon", shares=SHARES)
