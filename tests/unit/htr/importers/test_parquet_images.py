"""Importing Hugging Face's Parquet, as their library writes it and as others do."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.errors import DataError
from htr.importers.folders import Known
from htr.importers.parquet_images import Columns, import_parquet
from htr.lines import LinesDataset
from tests.conftest import line_png
from tests.unit.htr.importers.test_manifest import assert_nothing_written, num_rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def image(seed: int = 0) -> dict[str, Any]:
    return {"bytes": line_png("drawn", seed=seed), "path": None}


def test_what_their_library_writes_is_read(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    rows = {"image": [image(1), image(2)], "text": ["un", "deux  trois"]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(
        tmp_path / "in/data/validation-00000-of-00001.parquet"
    )
    info = import_parquet(tmp_path / "in", tmp_path / "out", known=Known(language="fra", source="hub"))
    lines = list(LinesDataset.open(tmp_path / "out").lines())
    assert [(line.text, line.split, line.language, line.source) for line in lines] == [
        ("un", "val", "fra", "hub"),
        ("deux trois", "val", "fra", "hub"),
    ]
    assert info.lineage["importer"] == "parquet"


def test_rows_are_kept_or_quarantined_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "beside.png").write_bytes(line_png("beside"))
    (tmp_path / "in" / "link.png").symlink_to(write(tmp_path / "x.parquet", [{"a": 1}]))
    images = [
        image(),
        {"bytes": None, "path": "beside.png"},
        {"bytes": None, "path": "gone.png"},
        {"bytes": None, "path": "../x.parquet"},
        {"bytes": None, "path": "link.png"},
        {"bytes": b"GIF89a", "path": None},
        None,
        image(1),
        image(2),
    ]
    texts = ["text"] * 7 + [None, "text"]
    splits = ["train"] * 8 + ["attic"]
    rows = [{"image": i, "sentence": t, "split": s} for i, t, s in zip(images, texts, splits, strict=True)]
    info = import_parquet(write(tmp_path / "in" / "a.parquet", rows), tmp_path / "out")
    assert info.counts["quarantined"] == {
        "bad_split": 1,
        "no_image": 2,
        "no_text": 1,
        "outside_folder": 2,
        "undecodable_image": 1,
    }
    assert num_rows(info) == len(rows)


def test_plain_bytes_other_names_and_ids_are_taken(tmp_path: Path) -> None:
    rows = [{"png": line_png("a", seed=n), "gt": "text", "id": f"x{n}", "writer": "w"} for n in range(3)]
    write(tmp_path / "in.parquet", rows)
    import_parquet(tmp_path / "in.parquet", tmp_path / "out", columns=Columns(image="png", text="gt"), limit=2)
    lines = list(LinesDataset.open(tmp_path / "out").lines())
    assert [(line.id, line.writer) for line in lines] == [("x0", "w"), ("x1", "w")]


def test_labels_that_are_numbers_are_no_texts(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet", [{"image": image(), "label": 7}])
    with pytest.raises(DataError, match="bad_value: 1"):
        import_parquet(tmp_path / "in.parquet", tmp_path / "out")


def test_a_number_0_names_a_writer_a_page_and_a_line_and_is_no_split(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": image(), "text": "null", "writer": 0, "page": 0, "id": 0}]
    write(tmp_path / "in" / "train.parquet", rows)
    import_parquet(tmp_path / "in", tmp_path / "out")
    (line,) = LinesDataset.open(tmp_path / "out").lines()
    assert (line.id, line.writer, line.page, line.split) == ("0", "0", "0", "train")
    write(tmp_path / "in" / "train.parquet", [rows[0] | {"split": 0}])
    with pytest.raises(DataError, match="bad_split: 1"):
        import_parquet(tmp_path / "in", tmp_path / "classes")


@pytest.mark.parametrize("own", [["a"], {"of": "a"}, 1.5])
def test_an_id_that_is_neither_text_nor_whole_number_quarantines_its_row(tmp_path: Path, own: object) -> None:
    rows = [{"image": image(n), "text": "text", "id": value} for n, value in enumerate([own, None])]
    info = import_parquet(write(tmp_path / "in.parquet", rows), tmp_path / "out")
    assert info.counts["quarantined"] == {"bad_value": 1}
    assert [line.id for line in LinesDataset.open(tmp_path / "out").lines()] == ["in-0000001"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"text"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match="not a Parquet file"):
        import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    assert_nothing_written(tmp_path / "out")


def test_missing_columns_folders_and_rows_are_told_of(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [{"picture": image(), "text": "x"}])
    with pytest.raises(DataError, match="--image-column"):
        import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    with pytest.raises(DataError, match="no such file"):
        import_parquet(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.parquet"):
        import_parquet(tmp_path / "empty", tmp_path / "out")


def test_a_file_that_was_made_to_fill_memory_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = pa.table({"image": pa.array([bytes(300 * 2**20)], pa.binary()), "text": ["x"]})
    pq.write_table(bomb, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    with pytest.raises(DataError, match=r"bytes of column 'image' unpack to \d+"):
        import_parquet(tmp_path / "a.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()
