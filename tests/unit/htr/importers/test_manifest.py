"""Importing tables of file_name and text: what is kept, what is quarantined, and what is refused."""

import csv
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from htr.errors import DataError, OutputError, SettingsError
from htr.importers.manifest import import_manifest
from htr.lines import DatasetInfo, LinesDataset
from tests.shared_lot import SHARED_DATA, needs_shared


def png(level: int = 200, size: tuple[int, int] = (30, 10)) -> bytes:
    out = io.BytesIO()
    Image.new("L", size, level).save(out, "PNG")
    return out.getvalue()


def write_table(folder: Path, rows: list[dict[str, str]], *, images: bool = True, name: str = "t.csv") -> Path:
    """Write a table with the columns of its first row and, when asked to, a small image for each row."""
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if images:
        (folder / "images").mkdir(exist_ok=True)
        for row in rows:
            if row["file_name"] and ".." not in row["file_name"] and not row["file_name"].startswith("/"):
                (folder / "images" / row["file_name"]).write_bytes(png())
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def read_quarantine(dataset: Path) -> dict[str, str]:
    with (dataset / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
        return {row["name"]: row["reason"] for row in csv.DictReader(stream)}


def num_rows(info: DatasetInfo) -> int:
    return info.num_lines + sum(info.counts["quarantined"].values())


def assert_nothing_written(out: Path) -> None:
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))


def test_columns_become_the_fields_of_a_line(tmp_path: Path) -> None:
    row = {
        "file_name": "a.png",
        "text": " Jean-Paul  le\u0301ger ",
        "writer": "w1",
        "page": "p1",
        "language": "fra",
        "source": "elsewhere",
        "subset": "letters",
        "split": "validation",
        "width": "1",
    }
    import_manifest(write_table(tmp_path, [row]), tmp_path / "out")
    (line,) = LinesDataset.open(tmp_path / "out").lines()
    assert (line.id, line.text, line.writer, line.page) == ("a.png", "Jean-Paul léger", "w1", "p1")
    assert (line.language, line.source, line.split) == ("fra", "letters", "val")
    assert (line.width, line.height, line.image) == (30, 10, png())


def test_words_that_look_missing_are_texts(tmp_path: Path) -> None:
    texts = ["NA", "nan", "NULL", "None", "007", "1.50"]
    rows = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate(texts)]
    import_manifest(write_table(tmp_path, rows), tmp_path / "out")
    assert LinesDataset.open(tmp_path / "out").texts() == texts


def test_every_fault_of_a_row_has_its_reason(tmp_path: Path) -> None:
    faults = {
        "no_text.png": "no_text",
        "undecodable.png": "undecodable_image",
        "cut.png": "undecodable_image",
        "hollow.png": "empty_image",
        "away.png": "no_image",
        "../up.png": "outside_folder",
        "/etc/hostname": "outside_folder",
        "a\\..\\..\\up.png": "outside_folder",
        "C:up.png": "outside_folder",
        "split.png": "bad_split",
        "x" * 300 + ".png": "no_image",
    }
    rows = [{"file_name": name, "text": "text", "split": "train"} for name in ["good.png", *faults]]
    rows[1]["text"] = "  "
    rows[-2]["split"] = "holdout"
    rows += [{"file_name": "good.png", "text": "again", "split": "test"}]
    rows += [{"file_name": "", "text": "nameless", "split": "test"}]
    table = write_table(tmp_path, rows, images=False)
    for name in ("good.png", "no_text.png", "split.png"):
        (tmp_path / name).write_bytes(png())
    (tmp_path / "undecodable.png").write_bytes(b"not an image")
    (tmp_path / "cut.png").write_bytes(png()[:45])
    (tmp_path / "hollow.png").write_bytes(b"")
    (tmp_path.parent / "up.png").write_bytes(png())

    info = import_manifest(table, tmp_path / "out")

    nameless = f"row ending on line {len(rows) + 1}"
    expected = faults | {"good.png": "duplicate_id", nameless: "no_file_name"}
    assert read_quarantine(tmp_path / "out") == expected
    assert (info.num_lines, num_rows(info)) == (1, len(rows))


def test_a_row_with_an_unquoted_comma_is_not_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "t.csv").write_text("file_name,text\na.png,one, two\nb.png,three\n")
    import_manifest(tmp_path / "t.csv", tmp_path / "out")
    assert read_quarantine(tmp_path / "out") == {"a.png": "extra_cells"}


@pytest.mark.parametrize("member", ["images/a.png", "a.png", "./a.png", "deep/er/a.png"])
@pytest.mark.parametrize("tar_cell", ["lines.tar", ""])
def test_images_are_found_in_tars(tmp_path: Path, member: str, tar_cell: str) -> None:
    write_tar(tmp_path / "lines.tar", {"images/other.png": png(1), member: png(9), "z.png": png(2)})
    rows = [{"file_name": "a.png", "text": "nine", "tar": tar_cell}]
    import_manifest(write_table(tmp_path, rows, images=False), tmp_path / "out")
    (line,) = LinesDataset.open(tmp_path / "out").lines()
    assert line.image == png(9)


def test_images_that_could_be_mixed_up_are_quarantined(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", {"good.png": png(), "w1/a.png": png(1), "w2/a.png": png(2), "b.png": png(3)})
    write_tar(tmp_path / "two.tar", {"good.png": png(), "b.png": png(4), "w1/c.png": png(5)})
    names = ["good.png", "a.png", "b.png", "w2/c.png", "w2/a.png"]
    rows = [{"file_name": name, "text": "text"} for name in names]
    import_manifest(write_table(tmp_path, rows, images=False), tmp_path / "out")
    expected = {"a.png": "ambiguous_image", "b.png": "ambiguous_image", "w2/c.png": "no_image"}
    assert read_quarantine(tmp_path / "out") == expected
    assert [line.image for line in LinesDataset.open(tmp_path / "out").lines()] == [png(), png(2)]


def test_a_tar_cell_cannot_lead_outside(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_tar(tmp_path / "secret.tar", {"a.png": png()})
    rows = [
        {"file_name": "a.png", "text": "text", "tar": "../secret.tar"},
        {"file_name": "b.png", "text": "text", "tar": ""},
    ]
    table = write_table(folder, rows)
    import_manifest(table, tmp_path / "out")
    assert read_quarantine(tmp_path / "out") == {"a.png": "outside_folder"}


def test_without_a_split_column_writers_stay_whole(tmp_path: Path) -> None:
    rows = [{"file_name": f"{i}.png", "text": "text", "writer": f"w{i % 40}"} for i in range(120)]
    info = import_manifest(write_table(tmp_path, rows), tmp_path / "out")
    splits: dict[str, set[str]] = {}
    for line in LinesDataset.open(tmp_path / "out").lines():
        splits.setdefault(line.writer, set()).add(line.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set(info.counts["split"]) == {"train", "val", "test"}
    assert info.counts["split"]["train"] > 60
    again = import_manifest(tmp_path / "t.csv", tmp_path / "again")
    assert again.digest == info.digest


def test_only_takes_the_rows_that_are_asked_for(tmp_path: Path) -> None:
    rows = [{"file_name": f"{i}.png", "text": "text", "subset": "abc"[i % 3]} for i in range(9)]
    table = write_table(tmp_path, rows)
    info = import_manifest(table, tmp_path / "out", only={"subset": {"a", "c"}})
    assert info.counts["source"] == {"a": 3, "c": 3}
    assert import_manifest(table, tmp_path / "four", limit=4).num_lines == 4
    with pytest.raises(DataError, match=r"'subset' never holds x; it holds a, b, c"):
        import_manifest(table, tmp_path / "none", only={"subset": {"a", "x"}})
    with pytest.raises(DataError, match="'colour' is missing"):
        import_manifest(table, tmp_path / "none", only={"colour": {"red"}})
    with pytest.raises(SettingsError, match="limit must be 1 or more"):
        import_manifest(table, tmp_path / "none", limit=0)
    assert_nothing_written(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line is empty"),
        (b"file_name,text\n", "no rows"),
        (b"filename,text\na.png,b\n", r"'file_name' is missing; found 'filename', 'text'; rename 'filename' to"),
        (b"file_name,transcription\na.png,b\n", "rename 'transcription' to 'text'"),
        (b"file_name,writer\na.png,b\n", "'text' is missing.*add a column 'text'"),
        (b"FILENAME,IDENTITY\na.png,b\n", "import names-csv"),
        (b"file_name,text,text\na.png,b,c\n", "occurs twice"),
        ("file_name,text\na.png,\u00e9t\u00e9\n".encode("latin-1"), "save it again as UTF-8"),
        ("file_name,text\na.png,b\n".encode("utf-16"), "save it again as UTF-8"),
        (b'file_name,text\na.png,"open\nb.png,c\n', "not a sound CSV table"),
        (b"file_name,text\nmissing.png,b\n", r"none of its 1 rows can be used \(no_image: 1\); put the images"),
    ],
)
def test_an_unusable_table_is_refused_with_the_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        import_manifest(table, tmp_path / "out")
    assert str(table) in str(caught.value)
    assert_nothing_written(tmp_path / "out")


def test_a_folder_or_nothing_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder, where a CSV table was expected"):
        import_manifest(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such file"):
        import_manifest(tmp_path / "t.csv", tmp_path / "out")


def test_a_damaged_tar_stops_the_import_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "lines.tar").write_bytes(b"\x1f\x8b not a tar")
    table = write_table(tmp_path, [{"file_name": "a.png", "text": "b", "tar": "lines.tar"}], images=False)
    with pytest.raises(DataError, match=r"lines\.tar: not a whole, uncompressed tar"):
        import_manifest(table, tmp_path / "out")
    assert_nothing_written(tmp_path / "out")


def test_what_is_in_the_way_stays_as_it_was(tmp_path: Path) -> None:
    table = write_table(tmp_path, [{"file_name": "a.png", "text": "b"}])
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="already there"):
        import_manifest(table, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_spreadsheets_with_a_byte_order_mark_and_semicolons_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "t.csv").write_text("\ufefffile_name;text;;\r\na.png;1,50 F;;\r\n", encoding="utf-8", newline="")
    import_manifest(tmp_path / "t.csv", tmp_path / "out")
    assert LinesDataset.open(tmp_path / "out").texts() == ["1,50 F"]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from(["a.png", "b.png", "", "../c.png"]) | cells, cells), max_size=8))
def test_rows_in_are_rows_kept_and_rows_quarantined(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.png", "b.png", "good.png"):
        (folder / name).write_bytes(png())
    rows = [("good.png", "text"), *rows]
    table = folder / "t.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "text"), *rows])
    seen: list[tuple[int, int]] = []
    info = import_manifest(table, folder / "out", progress=lambda done, total: seen.append((done, total)))
    assert num_rows(info) == len(rows)
    assert seen == [(done, len(rows)) for done in range(1, len(rows) + 1)]


@pytest.mark.shared
@needs_shared
def test_names_and_stanford_of_the_shared_lot_import_whole(tmp_path: Path) -> None:
    info = import_manifest(SHARED_DATA / "manifest.csv", tmp_path / "out", only={"subset": {"names", "stanford"}})
    assert info.counts["source"] == {"names": 688, "stanford": 145}
    assert info.counts["split"] == {"train": 642, "val": 103, "test": 88}
    assert info.counts["quarantined"] == {}
    LinesDataset.open(tmp_path / "out").verify()
