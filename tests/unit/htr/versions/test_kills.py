"""Killed publishers, and several at once: a reader never sees half a version, and no name is lost."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from htr.bundle import Bundle
from htr.versions import VersionStore
from htr.versions.folder import FolderObjects
from htr.versions.objects import OnBytes, Stored
from tests.store_content import names_if_whole, write_a_bundle


def test_a_publisher_killed_at_any_write_leaves_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store_kills", str(tmp_path), "7"], check=True, capture_output=True, text=True
    )
    old, new = (Bundle.open(tmp_path / name).digest.removeprefix("sha256:") for name in ("old", "new"))
    places = [json.loads(line) for line in done.stdout.splitlines()]
    single, several = places[:-8], places[-8:]
    assert len(single) == 24  # four files appear, each by three steps, before and after
    seen = [place["killed"]["ours"] for place in single]
    assert all(one in ([old], [old, new]) for one in seen)
    assert [old] in seen
    assert [old, new] in seen
    assert all(place["ended"]["ours"] == [old, new] for place in single)
    assert all(place["ended"]["ours"][-1] == new for place in several)
    assert not any(place["left"] for place in places)


class Killed(BaseException):
    """A process that is gone: nothing of ours runs any more."""


class InTurns:
    """A folder store whose operations each wait for a turn, and may be the last that a publisher lives to do."""

    def __init__(self, folder: FolderObjects) -> None:
        self._folder = folder
        self.uri = folder.uri
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._dies = ""
        self.over = False

    def step(self, dies: str) -> None:
        """Let one operation happen; ``before`` or ``after`` it the publisher may die."""
        self._dies = dies
        self._turn.release()
        self._done.acquire()

    def end(self) -> None:
        """Say that the publisher is done, or dead."""
        self.over = True
        self._done.release()

    def _wait(self) -> None:
        self._turn.acquire()
        if self._dies == "before":
            raise Killed

    def _did(self) -> None:
        if self._dies == "after":
            raise Killed
        self._done.release()

    def prepare(self) -> None:
        self._wait()
        self._folder.prepare()
        self._did()

    def read(self, key: str) -> Stored | None:
        self._wait()
        found = self._folder.read(key)
        self._did()
        return found

    def write(self, key: str, data: bytes, *, replacing: str | None) -> bool:
        self._wait()
        done = self._folder.write(key, data, replacing=replacing)
        self._did()
        return done

    def size(self, key: str) -> int | None:
        self._wait()
        found = self._folder.size(key)
        self._did()
        return found

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        self._wait()
        self._folder.send(key, file, size=size, sha256=sha256, on_bytes=on_bytes)
        self._did()

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        return self._folder.pieces(key, start)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    turns=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["", "", "", "", "", "before", "after"])), max_size=40
    )
)
def test_two_publishers_in_any_order_end_with_one_index(turns: list[tuple[int, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folders = [write_a_bundle(place / str(n), weights=bytes([n])).path for n in (0, 1)]
        digests = [Bundle.open(folder).digest.removeprefix("sha256:") for folder in folders]
        plain = FolderObjects((place / "store").as_uri())
        running = [InTurns(plain) for _ in folders]

        def publish(number: int) -> None:
            try:
                VersionStore(running[number]).publish("bundle", f"name-{number}", folders[number])
            except Killed:
                pass
            finally:
                running[number].end()

        threads = [threading.Thread(target=publish, args=(n,)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for number, dies in [*turns, *((n % 2, "") for n in range(200))]:
            if not running[number].over:
                running[number].step(dies)
                names_if_whole(plain)  # what a reader sees between any two steps
        for thread in threads:
            thread.join(timeout=10)
        for number, folder in enumerate(folders):  # who was killed comes back
            VersionStore(plain).publish("bundle", f"name-{number}", folder)
        assert names_if_whole(plain) == {f"name-{n}": [digests[n]] for n in (0, 1)}
