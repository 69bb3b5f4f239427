"""Importing images with a text file each."""

import os
from pathlib import Path

import pytest

from htr.errors import DataError
from htr.importers.folders import Known
from htr.importers.text_files import import_text_files
from htr.lines import LinesDataset
from tests.conftest import line_png
from tests.unit.htr.importers.test_manifest import assert_nothing_written, num_rows, read_quarantine


def write_pair(folder: Path, base: str, text: str | bytes, suffix: str = ".png") -> None:
    path = folder / base
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + suffix).write_bytes(line_png("drawn"))
    content = text if isinstance(text, bytes) else text.encode()
    path.with_name(path.name + ".gt.txt").write_bytes(content)


def test_pairs_are_kept_or_quarantined_and_add_up(tmp_path: Path) -> None:
    folder, out = tmp_path / "book", tmp_path / "out"
    write_pair(folder, "0001/a", "\ufeffune\u0301 ligne\r\n")
    write_pair(folder, "0001/b", 'quotes "stay", # too', suffix=".nrm.png")
    write_pair(folder, "two", "one\ntwo\n")
    write_pair(folder, "empty", " \n")
    write_pair(folder, "latin1", "é".encode("latin-1"))
    write_pair(folder, "both", "which?")
    (folder / "both.bin.png").write_bytes(line_png("drawn"))
    (folder / "textless.png").write_bytes(line_png("drawn"))
    (folder / "imageless.gt.txt").write_text("text")
    (folder / "broken.png").write_bytes(b"GIF89a=1")
    (folder / "broken.gt.txt").write_text("text")
    info = import_text_files(folder, out, known=Known(language="fra", writer_from="folder"))
    lines = {line.id: line for line in LinesDataset.open(out).lines()}
    assert lines["0001/a"].text == "uné ligne"
    assert lines["0001/b"].text == 'quotes "stay", # too'
    assert {(line.writer, line.page, line.source, line.language) for line in lines.values()} == {
        ("0001", "0001", "book", "fra")
    }
    assert read_quarantine(out) == {
        "two": "no_single_line",
        "empty": "no_text",
        "latin1": "not_utf8",
        "both": "ambiguous_image",
        "textless": "no_text_file",
        "imageless": "no_image",
        "broken": "undecodable_image",
    }
    assert num_rows(info) == 9
    assert info.lineage["importer"] == "gt-txt"


def test_folders_named_after_splits_are_splits(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_pair(tmp_path / "in", f"{split}/page-1/a", "text")
    info = import_text_files(tmp_path / "in", tmp_path / "out")
    assert info.counts["split"] == {"test": 1, "train": 1, "val": 1}


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "good", "text")
    secret = tmp_path / "secret.png"
    secret.write_bytes(line_png("secret"))
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in" / "image.gt.txt").write_text("text")
    (tmp_path / "in" / "image.png").symlink_to(secret)
    (tmp_path / "in" / "text.png").write_bytes(line_png("text"))
    (tmp_path / "in" / "text.gt.txt").symlink_to(tmp_path / "secret.txt")
    write_pair(tmp_path / "elsewhere", "c", "text")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "in" / "pipe.png.gt.txt").write_text("text")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    info = import_text_files(tmp_path / "in", tmp_path / "out")
    assert info.num_lines == 1
    assert set(read_quarantine(tmp_path / "out").items()) >= {
        ("image", "outside_folder"),
        ("text", "outside_folder"),
    }


def test_file_names_that_are_not_unicode_are_quarantined_by_their_bytes(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "good", "text")
    write_pair(tmp_path / "in", os.fsdecode(b"caf\xe9"), "text")
    info = import_text_files(tmp_path / "in", tmp_path / "out")
    assert info.counts["quarantined"] == {"not_unicode": 1}
    assert "caf\\udce9" in (tmp_path / "out" / "quarantine.csv").read_text(encoding="utf-8")


def test_a_folder_without_pairs_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(line_png("a"))
    with pytest.raises(DataError, match=r"ends in \.gt\.txt"):
        import_text_files(tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        import_text_files(tmp_path / "none", tmp_path / "out")
    assert_nothing_written(tmp_path / "out")
