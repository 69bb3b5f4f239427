"""A version that must go: erased for good, and all others as they were."""

import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.errors import AlteredError, ErasedError, MissingError
from htr.versions import Lineage, VersionStore
from htr.versions.folder import FolderObjects
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.store_content import write_a_bundle
from tests.store_kills import in_a_child

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def opened(root: Path) -> VersionStore:
    return VersionStore(FolderObjects(root.as_uri()), now=lambda: NOON)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "ab":
        bundle = write_a_bundle(tmp_path / name, weights=b"weights of " + name.encode())
        opened(tmp_path / "store").publish("bundle", name, bundle.path)
    return tmp_path / "store"


def everything(root: Path) -> bytes:
    return b"".join(file.read_bytes() for file in root.rglob("*") if file.is_file())


def test_what_only_it_used_goes_and_what_others_use_stays(root: Path, tmp_path: Path) -> None:
    a, b = (opened(root).resolve("bundle", name) for name in "ab")
    done = opened(root).erase("bundle", a.digest)
    assert (done.removed, done.shared, done.names, done.kept_by_bucket) == (2, 1, ("a",), False)
    assert b"weights of a" not in everything(root)
    assert a.digest.encode() in (root / "index.json").read_bytes(), "the tombstone"
    assert opened(root).erased("bundle") == {a.digest: NOON.isoformat()}
    opened(root).fetch("bundle", b.digest, tmp_path / "copy")
    assert list(opened(root).check(deep=True)) == []


def test_who_asks_for_it_or_brings_it_back_is_told_that_it_was_erased(root: Path, tmp_path: Path) -> None:
    digest = opened(root).resolve("bundle", "a").digest
    opened(root).erase("bundle", digest)
    said = rf"bundle {digest} was erased on 2026-01-02T12:00:00\+00:00"
    with pytest.raises(ErasedError, match=said):
        opened(root).fetch("bundle", digest, tmp_path / "copy")
    with pytest.raises(ErasedError, match=said):
        opened(root).resolve("bundle", "a")
    before = everything(root)
    with pytest.raises(ErasedError, match=said):
        opened(root).publish("bundle", "another-name", tmp_path / "a", repair=True)
    assert everything(root) == before
    assert not (tmp_path / "copy").exists()


def test_erased_twice_is_erased_once_and_what_never_was_is_no_erasure(root: Path) -> None:
    digest = opened(root).resolve("bundle", "a").digest
    opened(root).erase("bundle", digest)
    before = everything(root)
    assert opened(root).erase("bundle", digest).removed == 0
    assert everything(root) == before
    with pytest.raises(MissingError, match="no bundle with digest"):
        opened(root).erase("bundle", "0" * 64)


def test_bundles_that_learnt_from_it_are_named(root: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines", [make_line("line 0", 0)])
    version = opened(root).publish("lines", "letters", lines.path)
    learnt = opened(root).publish("bundle", "b", tmp_path / "b", Lineage(dataset=f"sha256:{version.digest}"))
    assert opened(root).erase("lines", version.digest).learnt == (learnt.digest,)


def test_nothing_goes_while_another_manifest_is_damaged(root: Path) -> None:
    a, b = (opened(root).resolve("bundle", name).digest for name in "ab")
    (root / "bundle" / b / "version.json").write_bytes(b"{}")
    with pytest.raises(AlteredError):
        opened(root).erase("bundle", a)
    assert b"weights of a" in everything(root)
    with pytest.raises(ErasedError):
        opened(root).version("bundle", a)


def test_killed_anywhere_it_is_ended_by_the_next_and_others_stay_whole(root: Path, tmp_path: Path) -> None:
    a, b = (opened(root).resolve("bundle", name).digest for name in "ab")
    place = 0
    while True:
        place += 1
        store = tmp_path / f"store-{place}"
        shutil.copytree(root, store)
        if not in_a_child(lambda store=store, place=place: erase(store, a, kill_at=place)):  # type: ignore[misc]
            break
        faults = [one for one in opened(store).check() if one.kind != "unfinished"]
        assert all("its erasure was not ended" in one.said for one in faults), faults
        opened(store).erase("bundle", a)
        assert b"weights of a" not in everything(store), place
        assert list(opened(store).check(deep=True)) == []
        opened(store).fetch("bundle", b, tmp_path / f"copy-{place}")
    assert place > 10


def erase(root: Path, digest: str, *, kill_at: int) -> None:
    """Erase, and die before or after the n-th touch of the disk."""
    passed = 0

    def step() -> None:
        nonlocal passed
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            step()
            done = real(*arguments, **named)
            step()
            return done

        return call

    os.fsync = counted(os.fsync)  # type: ignore[assignment]  # the operating system's, not ours
    Path.replace = counted(Path.replace)  # type: ignore[method-assign, assignment]
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign, assignment]
    opened(root).erase("bundle", digest)
