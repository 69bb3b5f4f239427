"""Importing JSON Lines, tabs, renamed columns and images that lie elsewhere."""

import json
from pathlib import Path

import pytest

from htr.errors import DataError
from htr.importers.manifest import import_manifest
from htr.lines import LinesDataset
from tests.unit.htr.importers.test_manifest import assert_nothing_written, num_rows, png, read_quarantine


def write(folder: Path, rows: list[object], name: str = "t.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(9):
        (folder / f"{n}.png").write_bytes(png(level=100 + n))
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def test_values_that_are_no_texts_cost_their_row_only_where_they_are_used(tmp_path: Path) -> None:
    rows = [
        {"file_name": "0.png", "text": "007", "box": [1, 2]},
        {"file_name": "1.png", "text": 1905},
        {"file_name": "2.png", "text": None},
        {"file_name": "3.png", "text": ["a"]},
        {"file_name": "4.png", "text": True},
        {"file_name": "5.png", "text": "\ud800"},
        {"file_name": "6.png", "text": "x", "writer": 1.5},
        {"text": "no file"},
    ]
    info = import_manifest(write(tmp_path / "in", rows), tmp_path / "out")
    assert [line.text for line in LinesDataset.open(tmp_path / "out").lines()] == ["007", "1905"]
    assert info.counts["quarantined"] == {"bad_value": 3, "no_file_name": 1, "no_text": 1, "not_unicode": 1}
    assert num_rows(info) == len(rows)


@pytest.mark.parametrize(
    "content", ["[1]", "{", '"text"', '{"a": 1}\nnull', "[" * 100_000, '{"a": ' + "9" * 5000 + "}", "\ufeff", ""]
)
def test_what_is_not_json_lines_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(DataError):
        import_manifest(tmp_path / "t.jsonl", tmp_path / "out")
    assert_nothing_written(tmp_path / "out")


def test_columns_go_by_the_names_that_they_are_given(tmp_path: Path) -> None:
    table = write(tmp_path / "in", [{"img": "0.png", "gt": "one"}, {"img": "1.png", "gt": "two"}])
    import_manifest(table, tmp_path / "out", columns={"file_name": "img", "text": "gt"})
    assert LinesDataset.open(tmp_path / "out").texts() == ["one", "two"]
    with pytest.raises(DataError, match="has no column truth"):
        import_manifest(table, tmp_path / "other", columns={"text": "truth"})


def test_a_table_with_tabs_and_images_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "pictures", [])
    (tmp_path / "t.tsv").write_text("image\ttext\n0.png\ta, b; c\n1.png\td\n")
    import_manifest(
        tmp_path / "t.tsv", tmp_path / "out", images=tmp_path / "pictures", columns={"file_name": "image"}
    )
    assert LinesDataset.open(tmp_path / "out").texts() == ["a, b; c", "d"]
    with pytest.raises(DataError, match="no such folder"):
        import_manifest(
            tmp_path / "t.tsv", tmp_path / "o", images=tmp_path / "none", columns={"file_name": "image"}
        )


def test_links_beside_a_table_do_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    table = write(
        tmp_path / "in", [{"file_name": n, "text": "x"} for n in ("0.png", "link.png", "out/secret.png")]
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret.png").write_bytes(png())
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out" / "secret.png")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "out", target_is_directory=True)
    import_manifest(table, tmp_path / "made")
    assert read_quarantine(tmp_path / "made") == {"link.png": "outside_folder", "out/secret.png": "outside_folder"}
