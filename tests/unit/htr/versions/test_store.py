"""The store of versions, over a folder."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.bundle import WEIGHTS
from htr.errors import AlteredError, DataError, MissingError, OutputError, SettingsError, StoreError
from htr.lines import LinesDataset
from htr.versions import Lineage, VersionStore, open_lines, open_store
from htr.versions.folder import FolderObjects
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.store_content import write_a_bundle

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(FolderObjects((tmp_path / "store").as_uri()), now=lambda: NOON)


@pytest.fixture
def lines(tmp_path: Path) -> LinesDataset:
    return write_lines(tmp_path / "lines", [make_line(f"line {n}", n) for n in range(5)])


def blob(store: VersionStore, sha256: str) -> Path:
    return Path(store.uri.removeprefix("file://")) / "blobs" / sha256[:2] / sha256


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_version_goes_by_the_content_digest_that_the_folder_has_already(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    bundle = write_a_bundle(tmp_path / "bundle")
    version = store.publish("bundle", "ours", bundle.path)
    assert version.digest == bundle.digest.removeprefix("sha256:")
    assert version.uri == f"quillflow+{store.uri}/bundle/{version.digest}"
    assert version.lineage == Lineage(commit="abc1234")
    assert store.publish("lines", "letters", lines.path).digest == lines.digest.removeprefix("sha256:")
    assert store.names("lines") == {"letters": lines.digest.removeprefix("sha256:")}


def test_what_is_fetched_is_byte_for_byte_what_was_published(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    version = store.publish("lines", "letters", lines.path)
    store.fetch("lines", version.digest, tmp_path / "there" / "copy")
    assert content(tmp_path / "there" / "copy") == content(lines.path)
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["copy"]
    store.fetch("lines", version.digest, tmp_path / "there" / "copy")  # again: it is there


def test_what_two_versions_share_is_kept_once_and_sent_once(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    store.publish("bundle", "a", write_a_bundle(tmp_path / "a").path)
    other = write_a_bundle(tmp_path / "b", weights=b"other weights")
    store.publish("bundle", "b", other.path, on_progress=lambda *now: told.append(now))
    manifest = (other.path / "bundle.json").stat().st_size
    assert told[-1] == (len(b"other weights") + manifest,) * 2
    told.clear()
    store.publish("bundle", "c", other.path, on_progress=lambda *now: told.append(now))
    assert told == []


def test_a_name_remembers_what_it_stood_for(store: VersionStore, tmp_path: Path) -> None:
    first, second = (write_a_bundle(tmp_path / name, weights=name.encode()).path for name in "ab")
    a = store.publish("bundle", "ours", first, Lineage(importer="hand"))
    store.publish("bundle", "ours", first, Lineage(importer="hand"))  # nothing new: no entry
    b = store.publish("bundle", "ours", second)
    store.publish("bundle", "ours", first)  # back again
    history = store.history("bundle", "ours")
    assert [entry.digest for entry in history] == [a.digest, b.digest, a.digest]
    assert history[0].lineage == Lineage(importer="hand", commit="abc1234")
    assert history[0].created == "2026-01-02T12:00:00+00:00"
    assert store.resolve("bundle", "ours").digest == a.digest
    with pytest.raises(MissingError, match="no bundle named 'theirs'; there are ours"):
        store.resolve("bundle", "theirs")
    with pytest.raises(MissingError, match="no lines named 'ours'; there are none yet"):
        store.resolve("lines", "ours")


def test_a_signature_that_comes_later_joins_its_bundle(store: VersionStore, tmp_path: Path) -> None:
    bundle = write_a_bundle(tmp_path / "bundle")
    digest = store.publish("bundle", "ours", bundle.path).digest
    (bundle.path / "model.sig").write_bytes(b"signed")
    store.publish("bundle", "ours", bundle.path)
    (bundle.path / "model.sig").unlink()
    store.publish("bundle", "ours", bundle.path)  # and is not lost to one who has none
    store.fetch("bundle", digest, tmp_path / "copy")
    assert (tmp_path / "copy" / "model.sig").read_bytes() == b"signed"
    assert len(store.history("bundle", "ours")) == 1


def test_a_flipped_byte_is_found_and_named_and_mended_by_publishing_again(
    store: VersionStore, tmp_path: Path
) -> None:
    bundle = write_a_bundle(tmp_path / "bundle")
    version = store.publish("bundle", "ours", bundle.path)
    damaged = blob(store, bundle.files[WEIGHTS])
    damaged.write_bytes(b"weighty")
    with pytest.raises(AlteredError, match=rf"{WEIGHTS}: the store's bytes differ.*--repair"):
        store.fetch("bundle", version.digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    damaged.unlink()
    with pytest.raises(AlteredError, match=rf"{WEIGHTS}: the store lacks this file"):
        store.fetch("bundle", version.digest, tmp_path / "copy")
    store.publish("bundle", "ours", bundle.path, repair=True)
    assert content(store.fetch("bundle", version.digest, tmp_path / "copy")) == content(bundle.path)


@pytest.mark.parametrize("name", ["index.json", "version.json"])
def test_an_altered_index_or_manifest_is_not_believed(store: VersionStore, tmp_path: Path, name: str) -> None:
    version = store.publish("bundle", "ours", write_a_bundle(tmp_path / "bundle").path)
    (file,) = (tmp_path / "store").rglob(name)
    file.write_text(file.read_text().replace(version.digest, "0" * 64))
    with pytest.raises(AlteredError, match=name):
        store.resolve("bundle", "ours")


def test_content_that_was_swapped_for_another_whole_one_is_refused(store: VersionStore, tmp_path: Path) -> None:
    a = store.publish("bundle", "a", write_a_bundle(tmp_path / "a", weights=b"a").path)
    b = store.publish("bundle", "b", write_a_bundle(tmp_path / "b", weights=b"b").path)
    place = tmp_path / "store" / "bundle"
    shutil.copyfile(place / b.digest / "version.json", place / a.digest / "version.json")
    with pytest.raises(StoreError, match="manifest of another version"):
        store.fetch("bundle", a.digest, tmp_path / "copy")


def test_a_file_half_fetched_is_taken_up_and_one_that_went_bad_begun_again(
    store: VersionStore, tmp_path: Path
) -> None:
    bundle = write_a_bundle(tmp_path / "bundle", weights=bytes(range(256)) * 8)
    version = store.publish("bundle", "ours", bundle.path)
    parts = tmp_path / f".copy.{version.digest[:12]}.partial" / ".parts"
    parts.mkdir(parents=True)
    (parts / bundle.files[WEIGHTS]).write_bytes((bytes(range(256)) * 8)[:1000])
    (parts / bundle.files["model.onnx"]).write_bytes(b"net__")
    told: list[tuple[int, int]] = []
    store.fetch("bundle", version.digest, tmp_path / "copy", on_progress=lambda *now: told.append(now))
    assert content(tmp_path / "copy") == content(bundle.path)
    assert told[-1] == (version.num_bytes, version.num_bytes)


def test_a_folder_with_something_else_is_left_alone(store: VersionStore, tmp_path: Path) -> None:
    version = store.publish("bundle", "ours", write_a_bundle(tmp_path / "bundle").path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine").write_text("precious")
    with pytest.raises(OutputError, match="something else is there"):
        store.fetch("bundle", version.digest, tmp_path / "copy")
    assert content(tmp_path / "copy") == {"mine": b"precious"}


def test_what_was_altered_on_disk_is_not_published(store: VersionStore, lines: LinesDataset) -> None:
    (shard,) = (lines.path / "lines").iterdir()
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="altered"):
        store.publish("lines", "letters", lines.path)
    assert store.names("lines") == {}


def test_a_dataset_that_names_files_elsewhere_publishes_none_of_them(
    store: VersionStore, lines: LinesDataset, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    meta = lines.path / "dataset.json"
    info = json.loads(meta.read_text())
    for place in ("../secret", str(tmp_path / "secret"), "lines/../../secret"):
        info["shards"] = [{"file": place, "num_lines": 1, "sha256": "0" * 64}]
        meta.write_text(json.dumps(info))
        with pytest.raises(DataError, match="folder"):
            store.publish("lines", "letters", lines.path)
    assert not (tmp_path / "store").exists()


def test_a_difference_names_the_lines_that_came_went_and_changed(store: VersionStore, tmp_path: Path) -> None:
    rows = [make_line(f"line {n}", n) for n in range(6)]
    before = write_lines(tmp_path / "a", rows)
    altered = make_line("another text", 2, writer="w9")
    after = write_lines(tmp_path / "b", [*rows[:2], altered, *rows[4:], make_line("new", 7)])
    store.publish("lines", "letters", before.path)
    store.publish("lines", "letters", after.path)
    found = store.diff("lines", before.digest, "letters")
    assert found.came == ("line-7",)
    assert found.went == ("line-3",)
    assert found.changed == {"line-2": ("image", "text", "width", "writer")}
    assert found.same == 4
    assert store.diff("lines", "letters", "letters").same == 6


def test_a_difference_of_bundles_names_files_and_fields(store: VersionStore, tmp_path: Path) -> None:
    a = store.publish("bundle", "ours", write_a_bundle(tmp_path / "a", weights=b"a").path)
    store.publish("bundle", "ours", write_a_bundle(tmp_path / "b", weights=b"b").path)
    found = store.diff("bundle", a.digest, "ours")
    assert found.changed == {WEIGHTS: (), "bundle.json": ("files",)}
    assert (found.came, found.went, found.same) == ((), (), 1)


def test_an_unwritable_store_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bundle = write_a_bundle(tmp_path / "bundle")
    with pytest.raises(StoreError, match="Not a directory; check the folder"):
        open_store(tmp_path / "file" / "store").publish("bundle", "ours", bundle.path)


@pytest.mark.parametrize(
    ("kind", "name"), [("models", "a"), ("bundle", "../a"), ("bundle", ""), ("bundle", "0" * 64)]
)
def test_impossible_kinds_and_names_are_refused(store: VersionStore, tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(SettingsError):
        store.publish(kind, name, write_a_bundle(tmp_path / "bundle").path)


def test_lines_are_read_where_they_lie(
    store: VersionStore, lines: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUILLFLOW_STORE", store.uri)
    version = store.publish("lines", "letters", lines.path)
    for address in (version.uri, "store:letters", f"quillflow+{store.uri}/lines/letters"):
        opened = open_lines(address)
        opened.verify()
        assert opened.digest == lines.digest
        assert list(opened.lines("train")) == list(lines.lines("train"))
        assert opened.columns(["id", "text"]).equals(lines.columns(["id", "text"]))
        assert opened.texts() == lines.texts()
        assert [batch.num_rows for batch in opened.batches(["id"], rows=2)] == [2, 2, 1]
    assert open_lines(lines.path).path == lines.path


def test_two_who_fetch_into_one_folder_both_find_it_there(store: VersionStore, tmp_path: Path) -> None:
    version = store.publish("bundle", "ours", write_a_bundle(tmp_path / "bundle", weights=bytes(5_000_000)).path)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(store.fetch, "bundle", version.digest, tmp_path / "copy") for _ in range(4)]
        assert [one.result() for one in done] == [tmp_path / "copy"] * 4
    assert content(tmp_path / "copy") == content(tmp_path / "bundle")
    assert not list(tmp_path.glob(".copy*"))


def test_a_name_that_two_publish_at_once_stands_for_the_last_of_them(store: VersionStore, tmp_path: Path) -> None:
    folders = [write_a_bundle(tmp_path / str(n), weights=bytes([n])).path for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda folder: store.publish("bundle", "ours", folder), folders))
    history = [entry.digest for entry in store.history("bundle", "ours")]
    assert len(set(history)) == len(history) == 4
    assert store.names("bundle") == {"ours": history[-1]}
