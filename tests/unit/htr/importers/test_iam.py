"""Importing the IAM database, whose tables are no CSV."""

from pathlib import Path

import pytest

from htr.errors import DataError
from htr.importers.iam import import_iam
from htr.lines import LinesDataset
from tests.conftest import line_png
from tests.shared_lot import SHARED_DATA, needs_shared
from tests.unit.htr.importers.test_manifest import assert_nothing_written, num_rows, read_quarantine


def write_iam(root: Path, name: str, rows: list[str], *, ending: str = "\n") -> Path:
    """Write a table in IAM's layout, and an image for each of its rows."""
    (root / "ascii").mkdir(parents=True, exist_ok=True)
    table = root / "ascii" / f"{name}.txt"
    table.write_bytes((ending.join(["# comment", "#--- more ---#", *rows]) + ending).encode())
    for row in rows:
        line_id = row.split(" ")[0]
        parts = line_id.split("-")
        folder = root / name / parts[0] / "-".join(parts[:2])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{line_id}.png").write_bytes(line_png("drawn"))
    return table


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_words_keep_their_odd_transcriptions(tmp_path: Path, ending: str) -> None:
    table = write_iam(
        tmp_path,
        "words",
        [
            "a01-000u-00-00 ok 154 408 768 27 51 AT A",
            'a01-000u-00-01 ok 154 507 766 213 48 DTI "',
            "a01-000u-00-02 ok 154 507 766 213 48 NN #42",
            "a01-000u-00-03 ok 154 507 766 213 48 NPTS M Ps",
            "a01-000u-00-04 ok 154 507 766 213 48 NN a|b",
            "a01-000u-00-05 err 154 507 766 213 48 NN wrong",
            "a01-000u-00-06 er 154 507 766 213 48 NN wrong",
            "a01-000u-00-07 ok 154 -1 -1 -1 -1 NN nowhere",
            "a01-000u-00-08 ok 154 507 766 213 48 NN",
            "a01-000u-00-09 what 154 507 766 213 48 NN x",
            "r06-022-03-05 ok 154 507 766 213 48 NN broken",
        ],
        ending=ending,
    )
    (tmp_path / "words/r06/r06-022/r06-022-03-05.png").write_bytes(b"\x89PNG cut")
    info = import_iam(table, tmp_path / "out")
    assert [line.text for line in LinesDataset.open(tmp_path / "out").lines()] == ["A", '"', "#42", "M Ps", "a|b"]
    assert info.counts["quarantined"] == {
        "bad_row": 2,
        "no_box": 1,
        "segmentation_err": 2,
        "undecodable_image": 1,
    }
    assert num_rows(info) == 11
    assert "as it is handed out" in (tmp_path / "out" / "quarantine.csv").read_text()
    assert import_iam(table, tmp_path / "all", take_err=True).num_lines == 7


def test_lines_get_spaces_and_writers_and_keep_those_whose_words_were_cut_wrongly(tmp_path: Path) -> None:
    rows = [
        "a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE|to|stop|Mr.|Gaitskell",
        "a01-000u-01 err 156 19 395 932 1850 105 nominating|any|#|more",
        "b04-010-00 ok 156 19 395 932 1850 105 another|hand",
        "b04-010-01 ok 156 19 395 932 -1 105 nowhere",
    ]
    table = write_iam(tmp_path, "lines", rows)
    (tmp_path / "ascii" / "forms.txt").write_text(
        "# forms\na01-000u 007 2 prt 7 5 52 36\nb04-010 007 2 prt 7 5 52 36\n"
    )
    info = import_iam(table, tmp_path / "out")
    lines = list(LinesDataset.open(tmp_path / "out").lines())
    assert [line.text for line in lines] == [
        "A MOVE to stop Mr. Gaitskell",
        "nominating any # more",
        "another hand",
    ]
    assert {(line.writer, line.split) for line in lines} == {("007", lines[0].split)}
    assert [line.page for line in lines] == ["a01-000u", "a01-000u", "b04-010"]
    assert read_quarantine(tmp_path / "out") == {"b04-010-01": "no_box"}
    assert info.lineage["writers_from"] == "forms.txt"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no rows"),
        ("# only\n", "has no rows"),
        ("file_name,text\na.png,b\n", "no id of IAM"),
        ("a01-000u-00-00 ok 154 408 768 27 51 AT A\n", "say where the images are"),
        ("\xff", "not UTF-8"),
    ],
)
def test_what_is_not_iam_is_refused_with_the_remedy(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "words.txt").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=told):
        import_iam(tmp_path / "words.txt", tmp_path / "out")
    with pytest.raises(DataError, match="cannot be read"):
        import_iam(tmp_path / "none.txt", tmp_path / "out")
    assert_nothing_written(tmp_path / "out")


@needs_shared
def test_the_shared_sample_adds_up(tmp_path: Path) -> None:
    info = import_iam(SHARED_DATA / "iam_layout_synthetic/ascii/words.txt", tmp_path / "out")
    assert (info.num_lines, info.counts["quarantined"]) == (9, {"empty_image": 1, "segmentation_err": 2})
