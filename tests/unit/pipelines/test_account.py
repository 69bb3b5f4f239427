"""Accounting for every line."""

import json
from pathlib import Path
from typing import Any

from htr.lines import LinesDataset, LinesWriter
from pipelines.account import account_for
from tests.conftest import make_line


def outcome(
    folder: Path, train: list[str], excluded: list[tuple[str, str]], report: dict[str, str]
) -> dict[str, Any]:
    folder.mkdir()
    (folder / "curves").write_text(json.dumps({"train_ids": train, "excluded": excluded}))
    lines = [{"id": line_id, "split": split} for line_id, split in report.items()]
    (folder / "report").write_text(json.dumps({"lines": lines}))
    return {"curves": str(folder / "curves"), "report": str(folder / "report")}


def lines(path: Path, count: int) -> LinesDataset:
    with LinesWriter(path) as writer:
        for n in range(count):
            writer.add(make_line("x", n))
    return LinesDataset.open(path)


def test_every_line_has_one_place(tmp_path: Path) -> None:
    dataset = lines(tmp_path / "d", 7)
    first = outcome(tmp_path / "1", ["line-0"], [("line-1", "undecodable")], {"line-2": "val", "line-3": "test"})
    second = outcome(tmp_path / "2", ["line-0", "corrections/line-4"], [], {"corrections/line-5": "recent"})
    found = account_for([dataset], [first, second], ["line-3", "line-6"])
    assert found == {
        "imported": 7,
        "became": {
            "corrected, held back as recent": 1,
            "corrected, trained": 1,
            "left out: undecodable": 1,
            "read by the server only": 1,
            "tested": 1,
            "trained": 1,
            "validated": 1,
        },
        "lost": [],
    }


def test_a_dropped_line_is_named(tmp_path: Path) -> None:
    dataset = lines(tmp_path / "d", 3)
    first = outcome(tmp_path / "1", ["line-0"], [], {"line-2": "test"})
    assert account_for([dataset], [first], [])["lost"] == ["line-1"]


def test_lines_that_were_never_sent_are_waiting_rather_than_lost(tmp_path: Path) -> None:
    dataset = lines(tmp_path / "d", 1)
    first = outcome(tmp_path / "1", [], [], {})
    assert account_for([dataset], [first], [], waiting=["line-0"])["became"] == {"waiting": 1}
