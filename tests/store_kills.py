"""Kill -9 at every write of a store in a folder: a publication is cut off everywhere, looked at, and done again.

    python -m tests.store_kills FOLDER SEED

A child publishes and ends itself with SIGKILL before or after its n-th `fsync` or rename; what a reader sees then
must be whole. Afterwards several are killed one after the other, in seeded random orders. Prints one JSON line a
place: what every name has stood for, when it was killed and in the end.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from htr.versions import open_store
from htr.versions.folder import FolderObjects
from tests.store_content import names_if_whole, write_a_bundle


def main(folder: Path, seed: int) -> int:
    """Cut off publications at every place; return 0."""
    old, new = (write_a_bundle(folder / name, weights=name.encode()).path for name in ("old", "new"))
    place = 0
    while True:
        place += 1
        store = folder / f"store-{place:03}"
        open_store(store).publish("bundle", "ours", old)
        if not in_a_child(lambda store=store, place=place: publish(store, new, kill_at=place)):  # type: ignore[misc]
            break
        tell(store, [new])
    rng = random.Random(seed)
    for number in range(8):
        store = folder / f"store-random-{number:02}"
        open_store(store).publish("bundle", "ours", old)
        for which in rng.choices((old, new), k=4):
            at = rng.randrange(1, place)
            in_a_child(lambda store=store, which=which, at=at: publish(store, which, kill_at=at))  # type: ignore[misc]
        tell(store, [old, new])
    return 0


def tell(store: Path, again: list[Path]) -> None:
    """Print what the names stand for after a kill, and after everything was published again."""
    objects = FolderObjects(store.as_uri())
    killed = names_if_whole(objects)
    for folder in again:
        open_store(store).publish("bundle", "ours", folder)
    left = [path.name for path in (store / "partial").iterdir()]
    sys.stdout.write(json.dumps({"killed": killed, "ended": names_if_whole(objects), "left": left}) + "\n")


def publish(store: Path, folder: Path, *, kill_at: int) -> None:
    """Publish, and die on the way."""
    passed = 0

    def step() -> None:
        nonlocal passed
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            step()
            done = real(*arguments)
            step()
            return done

        return call

    os.fsync = counted(os.fsync)  # type: ignore[assignment]  # the operating system's, not ours
    Path.replace = counted(Path.replace)  # type: ignore[method-assign, assignment]
    open_store(store).publish("bundle", "ours", folder)


def in_a_child(act: Callable[[], None]) -> bool:
    """Do something in a process of its own; return whether that process was killed."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert os.WEXITSTATUS(status) == 0, "publishing failed"
    return False


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
