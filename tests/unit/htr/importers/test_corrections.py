"""Importing a store of corrections: which word on a line is the last, and which lines may judge a model."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.commands.data import run_corrections
from htr.correction_store import LOG, CorrectionStore, image_digest
from htr.corrections import SAMPLE, Correction, Withdrawal
from htr.errors import DataError, OutputError
from htr.importers.corrections import import_corrections
from htr.lines import ASKED_FOR, CORRECTIONS, Line, LinesDataset
from tests.conftest import line_png

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Desk:
    """Somebody who corrects lines, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = CorrectionStore(folder)
        self.numbers: Iterator[int] = iter(range(10_000))

    def correct(self, text: str, image: bytes, **known: str) -> str:
        name = f"c{next(self.numbers)}"
        correction = Correction(
            id=name, time=NOON, author="Ada", model_version="1", bundle_digest="sha256:" + "b" * 64,
            old_text="misread", new_text=text, image_digest=image_digest(image), **known,
        )  # fmt: skip
        assert self.store.add(correction, image)
        return name

    def withdraw(self, name: str) -> None:
        assert self.store.withdraw(Withdrawal(id=name, time=NOON, author="Bo", reason="wrong line"))

    def imported(self, out: Path) -> dict[str, Line]:
        """Return the lines by their text."""
        import_corrections(self.folder, out)
        return {line.text: line for line in LinesDataset.open(out).lines()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "store")


def picture(number: int) -> bytes:
    return line_png("some words", seed=number)


def quarantined(out: Path) -> dict[str, str]:
    with (out / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
        return {row["name"]: row["reason"] for row in csv.DictReader(stream)}


def test_a_correction_becomes_a_line_with_all_that_is_known(desk: Desk, tmp_path: Path) -> None:
    known = {"writer": "w", "page": "p", "language": "fra"}
    desk.correct("Zoé «9»", picture(0), chosen_by=SAMPLE, line="l", **known)
    (line,) = desk.imported(tmp_path / "out").values()
    assert (line.text, line.image, line.split) == ("Zoé «9»", picture(0), "train")
    assert {name: getattr(line, name) for name in known} == known
    assert (line.width, line.height) == (102, 32)
    assert line.id == image_digest(picture(0)).removeprefix("sha256:")


def test_the_last_word_on_an_image_or_on_a_named_line_counts(desk: Desk, tmp_path: Path) -> None:
    first = desk.correct("first", picture(0))
    desk.correct("other line", picture(1), page="p1", line="l1")
    desk.correct("second", picture(0))
    recut = desk.correct("recut", picture(2), page="p1", line="l1")
    desk.correct("same name, other page", picture(3), page="p2", line="l1")
    found = desk.imported(tmp_path / "out")
    assert set(found) == {"second", "recut", "same name, other page"}
    assert found["recut"].image == picture(2)
    assert found["recut"].id == image_digest(picture(1)).removeprefix("sha256:")  # the line stays the same one
    assert quarantined(tmp_path / "out") == {first: "superseded", "c1": "superseded"}
    assert recut == "c3"


def test_a_correction_that_links_two_lines_makes_them_one(desk: Desk, tmp_path: Path) -> None:
    desk.correct("by image", picture(0))
    desk.correct("by name", picture(1), line="l")
    desk.correct("both", picture(0), line="l")
    found = desk.imported(tmp_path / "out")
    assert set(found) == {"both"}
    assert found["both"].id == image_digest(picture(0)).removeprefix("sha256:")


def test_what_was_withdrawn_is_left_out_and_the_word_before_it_counts_again(desk: Desk, tmp_path: Path) -> None:
    desk.correct("before", picture(0))
    gone = desk.correct("after", picture(0))
    alone = desk.correct("alone", picture(1))
    desk.withdraw(gone)
    desk.withdraw(alone)
    assert set(desk.imported(tmp_path / "out")) == {"before"}
    assert quarantined(tmp_path / "out") == {gone: "withdrawn", alone: "withdrawn"}


def test_what_is_wrong_with_an_image_is_counted_by_reason(desk: Desk, tmp_path: Path) -> None:
    names = [desk.correct(f"line {number}", picture(number)) for number in range(3)]
    files = [desk.store.image_file(one.correction) for one in desk.store.read()[0]]
    files[0].unlink()
    files[1].write_bytes(picture(7))
    bad = desk.correct("no picture", b"not an image")
    assert set(desk.imported(tmp_path / "out")) == {"line 2"}
    assert quarantined(tmp_path / "out") == {
        names[0]: "no_image", names[1]: "altered_image", bad: "undecodable_image"
    }  # fmt: skip


def test_what_cannot_be_imported_says_so_and_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match="no corrections there; give the folder"):
        import_corrections(tmp_path / "nothing", out)
    desk.withdraw(desk.correct("gone", picture(0)))
    with pytest.raises(DataError, match=r"none of its 1 rows .*withdrawn: 1.*correct some lines anew"):
        import_corrections(desk.folder, out)
    desk.correct("here", picture(1))
    out.mkdir()
    (out / "mine").write_text("")
    with pytest.raises(OutputError, match="already there"):
        import_corrections(desk.folder, out)
    log = desk.folder / LOG
    log.write_bytes(log.read_bytes().replace(b"gone", b"gane"))
    with pytest.raises(DataError, match="line 1: altered"):
        import_corrections(desk.folder, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]


def test_the_command_counts_and_says_what_a_sample_is_for(desk: Desk, tmp_path: Path) -> None:
    from argparse import Namespace

    desk.correct("asked for", picture(0))
    said: list[str] = []
    assert run_corrections(Namespace(store=desk.folder, out=tmp_path / "one"), said.append) == 0
    assert said[0] == "kept 1 lines: train 1"
    assert any(line.startswith("note: without a sample") for line in said)
    assert not any("val and test" in line for line in said)
    desk.correct("sampled", picture(1), chosen_by=SAMPLE)
    said.clear()
    assert run_corrections(Namespace(store=desk.folder, out=tmp_path / "two"), said.append) == 0
    assert "chosen by what the model read: 1, only learnt from; as a sample: 1, a share is held back" in said
    assert not any(line.startswith("note:") for line in said)


def test_asked_for_is_a_source_of_its_own_until_ingest(desk: Desk, tmp_path: Path) -> None:
    desk.correct("asked for", picture(0))
    desk.correct("sampled", picture(1), chosen_by=SAMPLE)
    found = desk.imported(tmp_path / "out")
    assert {text: line.source for text, line in found.items()} == {"asked for": ASKED_FOR, "sampled": CORRECTIONS}
