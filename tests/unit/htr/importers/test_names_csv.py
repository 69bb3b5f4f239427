"""Importing the Kaggle names layout, with the traps of its labels."""

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from htr.errors import DataError, SettingsError
from htr.importers.names_csv import import_names_csv
from htr.lines import LinesDataset
from tests.shared_lot import SHARED_DATA, needs_shared


def png(level: int = 200) -> bytes:
    out = io.BytesIO()
    Image.new("L", (40, 12), level).save(out, "PNG")
    return out.getvalue()


def write_layout(root: Path, labels: dict[str, str], *, table: str = "names.csv", below: str = "v2/all") -> Path:
    folder = root / below
    folder.mkdir(parents=True)
    for name in labels:
        (folder / name).write_bytes(png())
    path = root / table
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("FILENAME", "IDENTITY"), *labels.items()])
    return path


def splits(dataset: Path) -> dict[str, str]:
    return {line.id: line.split for line in LinesDataset.open(dataset).lines()}


def test_surnames_that_look_missing_are_kept_and_labels_that_say_nothing_are_not(tmp_path: Path) -> None:
    labels = {
        "1.png": "NA",
        "2.png": "NAN",
        "3.png": "NULL",
        "4.png": "EMPTYER",
        "5.png": " LE  GOFF ",
        "6.png": "",
        "7.png": "UNREADABLE",
        "8.png": "EMPTY",
    }
    info = import_names_csv(write_layout(tmp_path, labels), tmp_path / "out")
    assert LinesDataset.open(tmp_path / "out").texts() == ["NA", "NAN", "NULL", "EMPTYER", "LE GOFF"]
    assert info.counts["quarantined"] == {"empty_label": 1, "no_text": 1, "unreadable": 1}


def test_every_image_has_a_writer_of_its_own(tmp_path: Path) -> None:
    import_names_csv(write_layout(tmp_path, {"A_1.png": "BLANC"}), tmp_path / "out")
    (line,) = LinesDataset.open(tmp_path / "out").lines()
    assert (line.writer, line.source, line.language) == ("A_1", "names", "fra")
    assert (line.width, line.height) == (40, 12)


@pytest.mark.parametrize("below", [".", "validation", "validation_v2/validation"])
def test_images_are_found_up_to_two_folders_down(tmp_path: Path, below: str) -> None:
    (tmp_path / "in").mkdir()
    table = write_layout(tmp_path / "in", {"1.png": "BLANC"}, below=below) if below != "." else None
    if table is None:
        (tmp_path / "in" / "1.png").write_bytes(png())
        table = tmp_path / "in" / "names.csv"
        table.write_text("FILENAME,IDENTITY\n1.png,BLANC\n")
    assert import_names_csv(table, tmp_path / "out").num_lines == 1
    assert import_names_csv(table, tmp_path / "named", images=tmp_path / "in" / below).num_lines == 1


def test_the_split_is_what_the_file_names_say(tmp_path: Path) -> None:
    labels = {"TRAIN_1.png": "A", "VALIDATION_1.png": "B", "TEST_1.png": "C", "latest_1.png": "D"}
    table = write_layout(tmp_path, labels, table="written_name_test_v2.csv")
    import_names_csv(table, tmp_path / "said")
    assert list(splits(tmp_path / "said").values()) == ["train", "val", "test", "test"]
    import_names_csv(table, tmp_path / "given", split="val")
    assert set(splits(tmp_path / "given").values()) == {"val"}


def test_names_that_say_no_split_are_spread_by_hash(tmp_path: Path) -> None:
    labels = {f"{i:03d}.png": "BLANC" for i in range(100)}
    table = write_layout(tmp_path, labels)
    info = import_names_csv(table, tmp_path / "out")
    assert set(info.counts["split"]) == {"train", "val", "test"}
    assert 65 <= info.counts["split"]["train"] <= 92
    import_names_csv(table, tmp_path / "ten", limit=10)
    assert splits(tmp_path / "ten").items() <= splits(tmp_path / "out").items()


def test_two_different_images_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    table = write_layout(tmp_path, {"1.png": "BLANC", "2.png": "NOIR"})
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "1.png").write_bytes(png(3))
    info = import_names_csv(table, tmp_path / "out")
    assert info.counts["quarantined"] == {"ambiguous_image": 1}


def test_what_cannot_be_imported_is_refused_with_the_remedy(tmp_path: Path) -> None:
    table = write_layout(tmp_path, {"1.png": "UNREADABLE"})
    with pytest.raises(DataError, match=r"none of its 1 rows can be used \(unreadable: 1\)"):
        import_names_csv(table, tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        import_names_csv(table, tmp_path / "out", images=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="split 'dev' is not known"):
        import_names_csv(table, tmp_path / "out", split="dev")
    table.write_text("filename,identity\n1.png,BLANC\n")
    with pytest.raises(DataError, match="rename 'filename' to 'FILENAME'; rename 'identity' to 'IDENTITY'"):
        import_names_csv(table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.shared
@needs_shared
def test_the_shared_sample_of_the_layout_adds_up(tmp_path: Path) -> None:
    table = SHARED_DATA / "kaggle_names_layout" / "written_name_validation_v2.csv"
    info = import_names_csv(table, tmp_path / "out")
    assert info.counts["split"] == {"val": 56}
    assert info.counts["quarantined"] == {"empty_label": 2, "no_text": 1, "unreadable": 1}
