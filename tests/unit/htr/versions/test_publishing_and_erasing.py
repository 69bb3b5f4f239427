"""Who publishes and who erases at the same time, in every order of their requests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, cycle
from pathlib import Path

import pytest

from htr.errors import ErasedError
from htr.versions import VersionStore
from htr.versions.objects import Kept, OnBytes, Stored
from tests.store_content import write_a_bundle

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class MemoryObjects:
    """Objects in memory, as strict as S3; whoever asks waits for his turn first"""

    uri = "s3://bucket/store"

    def __init__(self, kept: dict[str, bytes], turn: Callable[[], None] = lambda: None) -> None:
        self.all, self._turn = kept, turn

    def prepare(self) -> None:
        self._turn()

    def read(self, key: str) -> Stored | None:
        self._turn()
        data = self.all.get(key)
        return None if data is None else Stored(data=data, tag=str(hash(data)))

    def write(self, key: str, data: bytes, *, replacing: str | None) -> bool:
        self._turn()
        found = self.all.get(key)
        if (None if found is None else str(hash(found))) != replacing:
            return False
        self.all[key] = data
        return True

    def size(self, key: str) -> int | None:
        self._turn()
        return len(self.all[key]) if key in self.all else None

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        self._turn()
        self.all[key] = file.read_bytes()

    def remove(self, key: str) -> None:
        self._turn()
        self.all.pop(key, None)

    def keeps_removed(self) -> bool:
        return False

    def kept(self, prefix: str) -> Iterator[Kept]:
        self._turn()
        yield from [
            Kept(key=key, size=len(data), time=NOON) for key, data in self.all.items() if key.startswith(prefix)
        ]

    def begun(self) -> Iterator[Kept]:
        yield from ()

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        if key not in self.all:
            raise FileNotFoundError(key)
        yield self.all[key][start:]


class Turns:
    """Lets two take their steps in a given order; who is alone goes on as he likes"""

    def __init__(self, order: Iterator[str]) -> None:
        self._order, self._next = order, next(order)
        self._ended: set[str] = set()
        self._changed = threading.Condition()

    def take(self, who: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._next == who or len(self._ended) == 1, timeout=20)
            self._next = next(self._order)
            self._changed.notify_all()

    def end(self, who: str) -> None:
        with self._changed:
            self._ended.add(who)
            self._changed.notify_all()


def together(kept: dict[str, bytes], acts: dict[str, Callable[[VersionStore], object]], order: str) -> None:
    """Have acts work on one store, in an order of steps that is followed by one step each in turn"""
    turns = Turns(chain(order, cycle("pe")))

    def work(who: str) -> None:
        objects = MemoryObjects(kept, lambda: turns.take(who))
        with suppress(ErasedError):
            try:
                acts[who](VersionStore(objects, now=lambda: NOON, sleep=lambda _: None))
            finally:
                turns.end(who)

    threads = [threading.Thread(target=work, args=(who,)) for who in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("same", [False, True], ids=["another that shares files", "the very same"])
def test_in_every_order_what_is_published_is_whole_and_what_is_erased_is_gone(tmp_path: Path, same: bool) -> None:
    old = write_a_bundle(tmp_path / "old", weights=b"shared", network=b"only the old one")
    new = write_a_bundle(tmp_path / "new", weights=b"shared", network=b"only the new one")
    before: dict[str, bytes] = {}
    digest = VersionStore(MemoryObjects(before), now=lambda: NOON).publish("bundle", "old", old.path).digest
    ours = old if same else new
    acts: dict[str, Callable[[VersionStore], object]] = {
        "p": lambda store: store.publish("bundle", "ours", ours.path),
        "e": lambda store: store.erase("bundle", digest),
    }
    for published in range(16):
        for erased in range(14):
            kept = dict(before)
            together(kept, acts, "p" * published + "e" * erased)
            store = VersionStore(MemoryObjects(kept), now=lambda: NOON)
            order = f"{published} steps of publishing, then {erased} of erasing"
            assert [one.said for one in store.check(deep=True)] == [], order
            assert b"only the old one" not in kept.values(), order
            if same:
                assert not [key for key in kept if key.startswith(("bundle/", "blobs/"))], order
            else:
                assert store.resolve("bundle", "ours").digest == store.find("bundle", "ours").digest, order
                assert b"shared" in kept.values(), order
