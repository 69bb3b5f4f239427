"""What fsck finds in a store of versions."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from htr.versions import VersionStore
from htr.versions.folder import FolderObjects
from tests.store_content import write_a_bundle


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "ab":
        bundle = write_a_bundle(tmp_path / name, weights=name.encode())
        opened(tmp_path / "store").publish("bundle", "ours", bundle.path)
    return tmp_path / "store"


def opened(root: Path) -> VersionStore:
    return VersionStore(FolderObjects(root.as_uri()))


def found(root: Path, *, deep: bool = False) -> list[tuple[str, str]]:
    return [(one.kind, one.key.partition("/")[0]) for one in opened(root).check(deep=deep)]


def age(file: Path, days: float) -> None:
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(file, (then, then))


def blob_of(root: Path, content: bytes) -> Path:
    return next(file for file in (root / "blobs").rglob("*") if file.is_file() and file.read_bytes() == content)


def snapshot(root: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_a_sound_store_has_no_fault_and_is_left_as_it_is(root: Path) -> None:
    before = snapshot(root)
    assert found(root, deep=True) == []
    assert len(opened(root)) == 2
    assert snapshot(root) == before


def test_a_store_that_is_not_there_yet_has_none_and_is_not_made(tmp_path: Path) -> None:
    assert found(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_gone_or_cut_off_is_found_and_a_flipped_bit_only_by_reading(root: Path) -> None:
    blob_of(root, b"a").unlink()
    blob_of(root, b"network").write_bytes(b"networK")
    assert found(root) == [("lost", "blobs")]
    assert sorted(found(root, deep=True)) == [("damaged", "blobs"), ("lost", "blobs")]
    blob_of(root, b"b").write_bytes(b"")
    assert sorted(found(root)) == [("damaged", "blobs"), ("lost", "blobs")]


def test_a_name_that_leads_nowhere_and_a_damaged_manifest_are_found(root: Path) -> None:
    first, second = sorted(root.glob("bundle/*/version.json"))
    first.unlink()
    assert ("dangling", "bundle") in found(root)
    second.write_bytes(second.read_bytes().replace(b"2", b"3", 1))
    assert sorted(kind for kind, place in found(root) if place == "bundle") == ["damaged", "dangling", "dangling"]


def test_the_manifest_of_another_version_is_found(root: Path) -> None:
    first, second = sorted(root.glob("bundle/*/version.json"))
    first.write_bytes(second.read_bytes())
    assert ("damaged", "bundle") in found(root)


def test_a_damaged_index_is_found(root: Path) -> None:
    values = json.loads((root / "index.json").read_text())
    (root / "index.json").write_text(json.dumps(values | {"check": "0" * 64}))
    assert ("damaged", "index.json") in found(root)


def test_what_was_begun_is_a_fault_when_it_is_older_than_a_day(root: Path) -> None:
    half, alone = root / "partial" / "1-abc", root / "blobs" / "00" / ("0" * 64)
    alone.parent.mkdir()
    for file in (half, alone):
        file.write_bytes(b"half")
        age(file, 0.9)
    assert found(root) == []
    for file in (half, alone):
        age(file, 1.1)
    assert sorted(found(root)) == [("abandoned", "blobs"), ("abandoned", "partial")]


def test_a_version_that_no_name_has_led_to_is_a_note(root: Path) -> None:
    (root / "index.json").unlink()
    assert found(root) == [("unfinished", "bundle")] * 2
