"""What is exported comes back, and ids never become paths."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.errors import OutputError
from htr.exporters.page_xml import export_pages
from htr.exporters.table import export_table
from htr.importers.manifest import import_manifest
from htr.importers.page_folder import import_page_folder
from htr.lines import LinesDataset
from tests.conftest import make_line
from tests.datasets import write_lines

LINES = [
    replace(make_line('he said "no", é; #1', 0, split="train"), id="../../up"),
    replace(make_line("two <b>&amp;</b>", 1, split="val"), id="/root/abs", writer="=SUM(A1)", page=""),
    replace(make_line("nul\x00 and \x1b", 2, split="test"), id="c:\\x\ny"),
]


def test_a_manifest_comes_back_with_the_same_digest(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "d", LINES)
    assert export_table(dataset, tmp_path / "table") == 3
    info = import_manifest(tmp_path / "table" / "manifest.csv", tmp_path / "back")
    assert info.digest == dataset.digest
    assert sorted(path.name for path in (tmp_path / "table" / "images").iterdir()) == [
        "0000001.png",
        "0000002.png",
        "0000003.png",
    ]


def test_pages_come_back_with_their_texts_and_splits(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "d", LINES)
    export_pages(dataset, tmp_path / "pages", created=datetime(2026, 1, 2, tzinfo=UTC))
    import_page_folder(tmp_path / "pages", tmp_path / "back")
    back = list(LinesDataset.open(tmp_path / "back").lines())
    assert sorted((line.split, line.text) for line in back) == [
        ("test", "nul\ufffd and \ufffd"),
        ("train", 'he said "no", é; #1'),
        ("val", "two <b>&</b>"),  # what looks escaped twice is taken for it
    ]
    for line, original in zip(sorted(back, key=lambda line: line.id), [LINES[2], LINES[0], LINES[1]], strict=True):
        assert abs(line.width - original.width) <= 8


def test_nothing_is_overwritten_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "d", LINES)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(OutputError, match="already there"):
        export_table(dataset, tmp_path / "there")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_pages(dataset, tmp_path / "out", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "there"]
