"""The cache of a store's files: verified, bounded, shared by processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from htr.errors import SettingsError
from htr.lines import LinesDataset, LinesWriter
from htr.versions import VersionStore, open_store
from htr.versions.cache import FileCache
from tests.conftest import make_line

MANY = 10**9


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return open_store(tmp_path / "store")


@pytest.fixture
def lines(tmp_path: Path) -> LinesDataset:
    with LinesWriter(tmp_path / "lines", lines_per_shard=3) as writer:
        for n in range(12):
            writer.add(make_line(f"line {n}", n))
    return LinesDataset.open(tmp_path / "lines")


def kept(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if not file.name.startswith("lock-")}


def test_only_shards_that_are_read_are_fetched(store: VersionStore, lines: LinesDataset, tmp_path: Path) -> None:
    store.publish("lines", "letters", lines.path)
    cache = FileCache(tmp_path / "cache", MANY)
    opened = store.lines("letters", cache=cache)
    assert len(kept(cache.folder)) == 1
    reading = opened.lines()
    first = next(reading)
    assert first == next(lines.lines())
    assert len(kept(cache.folder)) == 2
    reading.close()


def test_the_bound_holds_and_what_is_being_read_stays(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    store.publish("lines", "letters", lines.path)
    sizes = [(lines.path / shard["file"]).stat().st_size for shard in lines.info.shards]
    cache = FileCache(tmp_path / "cache", 2 * max(sizes))
    opened = store.lines("letters", cache=cache)
    reading, largest = opened.lines(), 0
    next(reading)
    held = kept(cache.folder)
    for number, _ in enumerate(opened.lines()):
        largest = max(largest, sum(file.stat().st_size for file in cache.folder.iterdir()))
        if number == 11:
            assert len(kept(cache.folder) & held) >= 1  # that of the reader who stands still
    assert largest <= 2 * max(sizes) + max(sizes)
    assert sum(1 for _ in reading) == 11
    none = store.lines("letters", cache=FileCache(tmp_path / "none", 0))
    assert list(none.lines()) == list(lines.lines())
    assert len(kept(tmp_path / "none")) == 1


def test_a_file_that_the_disk_altered_is_fetched_anew(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    store.publish("lines", "letters", lines.path)
    list(store.lines("letters", cache=FileCache(tmp_path / "cache", MANY)).lines())
    for file in (tmp_path / "cache").iterdir():
        if len(file.name) == 64:
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    opened = store.lines("letters", cache=FileCache(tmp_path / "cache", MANY))
    assert list(opened.lines()) == list(lines.lines())


def test_several_processes_share_a_cache_that_is_too_small_for_them(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    store.publish("lines", "letters", lines.path)
    code = (
        "from htr.versions import open_lines\n"
        "for _ in range(3):\n"
        "    lines = open_lines('store:letters')\n"
        "    lines.verify()\n"
        "    assert lines.columns(['id']).num_rows == 12\n"
    )
    environment = {
        **os.environ,
        "QUILLFLOW_STORE": store.uri,
        "QUILLFLOW_CACHE": str(tmp_path / "cache"),
        "QUILLFLOW_CACHE_GB": "0.000004",
    }
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert not [name for name in kept(tmp_path / "cache") if name.endswith(".partial")]


def test_the_environment_names_folder_and_size(tmp_path: Path) -> None:
    assert FileCache.of({"HOME": "/home/me"}).folder == Path("/home/me/.cache/quillflow")
    assert FileCache.of({"XDG_CACHE_HOME": "/x"}).folder == Path("/x/quillflow")
    assert FileCache.of({"QUILLFLOW_CACHE": "/c"}).folder == Path("/c")
    for wrong in ("much", "-1", "nan"):
        with pytest.raises(SettingsError, match="QUILLFLOW_CACHE_GB"):
            FileCache.of({"QUILLFLOW_CACHE_GB": wrong})
