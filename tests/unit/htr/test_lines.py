"""The lines dataset format."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.errors import DataError, OutputError
from htr.lines import Line, LinesDataset, LinesWriter
from tests.conftest import make_line


def write(path: Path, lines: list[Line], **options: int) -> LinesDataset:
    with LinesWriter(path, **options) as writer:
        for line in lines:
            writer.add(line)
    return LinesDataset.open(path)


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    lines = [make_line(f"line {n}", n, split="test" if n % 3 else "train") for n in range(10)]
    dataset = write(tmp_path / "d", lines, lines_per_shard=4)
    assert list(dataset.lines()) == lines
    assert list(dataset.lines("test")) == [line for line in lines if line.split == "test"]
    assert dataset.info.counts["split"] == {"test": 6, "train": 4}
    assert len(dataset.info.shards) == 3
    dataset.verify()


def test_the_digest_depends_on_content_and_not_on_shards(tmp_path: Path) -> None:
    lines = [make_line(f"line {n}", n) for n in range(6)]
    whole = write(tmp_path / "a", lines)
    cut = write(tmp_path / "b", lines, lines_per_shard=2)
    other = write(tmp_path / "c", [*lines[:5], make_line("line X", 5)])
    assert whole.digest == cut.digest != other.digest


def test_it_opens_in_pandas_and_duckdb_without_our_code(tmp_path: Path) -> None:
    write(tmp_path / "d", [make_line("un été", 1), make_line("two", 2)], lines_per_shard=1)
    assert pd.read_parquet(tmp_path / "d" / "lines").shape == (2, 10)
    files = str(tmp_path / "d" / "lines" / "*.parquet")
    found = duckdb.sql("select text from read_parquet($1) order by text desc", params=[files]).fetchall()
    assert found == [("un été",), ("two",)]


def test_it_opens_in_hugging_face_datasets_without_our_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import Dataset

    write(tmp_path / "d", [make_line("one", 1), make_line("two", 2)])
    loaded = Dataset.from_parquet(str(tmp_path / "d" / "lines" / "00000.parquet"), cache_dir=str(tmp_path / "hf"))
    assert loaded["text"][:] == ["one", "two"]
    assert loaded[0]["image"] == make_line("one", 1).image


def test_a_failing_block_leaves_nothing_behind(tmp_path: Path) -> None:
    twice = [make_line("one", 1), make_line("one", 1)]
    with pytest.raises(DataError, match="twice"):
        write(tmp_path / "d", twice)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_dataset_is_not_overwritten(tmp_path: Path) -> None:
    before = write(tmp_path / "d", [make_line("one", 1)])
    with pytest.raises(OutputError, match="already there"), LinesWriter(tmp_path / "d"):
        pass
    assert LinesDataset.open(tmp_path / "d").digest == before.digest


def test_quarantined_rows_are_counted_and_listed(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        writer.add(make_line("one", 1))
        writer.quarantine("b.png", "no_text", "cell is empty")
    assert LinesDataset.open(tmp_path / "d").info.counts["quarantined"] == {"no_text": 1}
    assert "b.png,no_text,cell is empty" in (tmp_path / "d" / "quarantine.csv").read_text()


def test_a_folder_that_is_no_dataset_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset\.json.*import manifest"):
        LinesDataset.open(tmp_path)


def test_a_missing_shard_is_noticed_on_opening(tmp_path: Path) -> None:
    write(tmp_path / "d", [make_line("one", 1)])
    (tmp_path / "d" / "lines/00000.parquet").unlink()
    with pytest.raises(DataError, match=r"00000\.parquet"):
        LinesDataset.open(tmp_path / "d")


def test_an_altered_shard_is_noticed(tmp_path: Path) -> None:
    dataset = write(tmp_path / "d", [make_line("one", 1)])
    other = write(tmp_path / "e", [make_line("two", 1)])
    (dataset.path / "lines/00000.parquet").write_bytes((other.path / "lines/00000.parquet").read_bytes())
    with pytest.raises(DataError, match="altered"):
        dataset.verify()


def test_a_shard_cut_in_half_is_a_data_error(tmp_path: Path) -> None:
    dataset = write(tmp_path / "d", [make_line("one", 1)])
    shard = dataset.path / "lines/00000.parquet"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(DataError, match="damaged"):
        list(dataset.lines())


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d", [make_line("one", 1)])
    meta = tmp_path / "d" / "dataset.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "format_version": 99}))
    with pytest.raises(DataError, match="99"):
        LinesDataset.open(tmp_path / "d")


@settings(max_examples=15, deadline=None)
@given(splits=st.lists(st.sampled_from(["train", "val", "test", "recent"]), min_size=1, max_size=20))
def test_counts_always_add_up(splits: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lines") / "d"
    dataset = write(
        path, [make_line(f"t {n}", n, split=split) for n, split in enumerate(splits)], lines_per_shard=7
    )
    assert sum(dataset.info.counts["split"].values()) == len(dataset) == len(splits) == len(list(dataset.lines()))


def test_a_label_that_is_not_normalised_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="NFC"):
        make_line("two  spaces")


@pytest.mark.parametrize("file", ["../d/lines/00000.parquet", "/etc/passwd", "lines/../../x.parquet"])
def test_a_shard_outside_of_the_dataset_is_refused(tmp_path: Path, file: str) -> None:
    write(tmp_path / "d", [make_line("a", 0)])
    meta = tmp_path / "d" / "dataset.json"
    info = json.loads(meta.read_text())
    info["shards"][0]["file"] = file
    meta.write_text(json.dumps(info))
    with pytest.raises(DataError, match="outside of the dataset's folder"):
        LinesDataset.open(tmp_path / "d")
