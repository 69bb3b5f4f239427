"""Kill -9 at every write of state: a story is told once for every place where it can be cut off, then to its end.

    python -m tests.governor_kills FOLDER

The story is told by a child process that ends itself with SIGKILL before or after its n-th ``fsync``, or when the
cluster has taken a run and not yet said so; another child then tells the same story from the start, as
Alertmanager and people do, who say again what nobody answered. Prints one JSON line a place.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from htr import append_log
from htr.labelling import RequestedLine
from monitoring.governor.events import Wish
from monitoring.governor.journal import read_journal
from monitoring.governor.labelling import LabellingRequests
from monitoring.governor.policy import Policy
from tests.governor import FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor

POLICY = Policy(settle_s=1.0, min_lines=5, cooldown_hours=1.0)


def main(folder: Path) -> int:
    """Tell the story for every place; return 0."""
    place = 0
    while True:
        place += 1
        world = folder / f"{place:03}"
        world.mkdir(parents=True)
        was_killed = in_a_child(lambda world=world, place=place: tell(world, kill_at=place))  # type: ignore[misc]
        in_a_child(lambda world=world: tell(world, kill_at=0))  # type: ignore[misc]
        sys.stdout.write(json.dumps(report(world, place, was_killed=was_killed)) + "\n")
        sys.stdout.flush()
        if not was_killed:
            return 0


def tell(world: Path, *, kill_at: int) -> None:
    """Tell the story: an alert thrice, lines, a start whose answer is lost, its end, a wish, the end of that."""
    step = count_and_kill(kill_at)
    clock, registry, labels = WorldClock(), SetRegistry(), SetLabels()
    first = not (world / "cluster" / "001.json").exists()
    cluster = FolderCluster(world / "cluster", ["lost", "ok"] if first else ["ok"], happened=step)
    line = {"position": 0, "why": "control", "chosen_by": "sample"}
    asker = LabellingRequests(
        state=world / "state", choose=lambda champion, wanted: [RequestedLine(request_id=champion, **line)]
    )
    governor = make_governor(
        world / "state", cluster, clock=clock, policy=POLICY, labels=labels, registry=registry, asker=asker
    )

    def turns(number: int) -> None:
        for _ in range(number):
            clock.pass_by(60.0)
            governor.turn()

    turns(1)
    for _ in range(3):
        governor.take(alert())
    turns(1)
    labels.number = 5
    turns(3)
    cluster.end("succeeded", promoted=False)
    turns(100)
    governor.take(Wish(id="once more"))
    turns(3)
    cluster.end("succeeded", promoted=True, digest="B")
    registry.promote("B")
    turns(2)


def count_and_kill(kill_at: int) -> Callable[[], None]:
    """Have the process kill itself at the n-th place; return a function that is one more kind of place."""
    real, passed = os.fsync, 0

    def step() -> None:
        nonlocal passed
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def fsync(descriptor: int) -> None:
        step()
        real(descriptor)
        step()

    append_log.os.fsync = fsync  # type: ignore[attr-defined]  # the operating system's, not ours
    return step


def in_a_child(act: Callable[[], None]) -> bool:
    """Do something in a process of its own; return whether that process was killed."""
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
    assert os.WEXITSTATUS(status) == 0, "the story failed"
    return False


def report(world: Path, place: int, *, was_killed: bool) -> dict[str, object]:
    """Return what came of it."""
    records = read_journal(world / "state")
    runs = FolderCluster(world / "cluster").runs()
    return {
        "place": place,
        "killed": was_killed,
        "keys": [run["key"] for run in runs],
        "decided": [record.decision.key for record in records if record.decision.choice == "train"],
        "started": [record.event.run_id for record in records if record.event.KIND == "started"],
        "ended": [record.event.result for record in records if record.event.KIND == "ended"],
        "alerts": sum(record.event.KIND == "alert" for record in records),
        "gaps": [record.seq for record in records] != list(range(1, len(records) + 1)),
        "requests": sorted(file.name for file in (world / "state" / "labelling").glob("*.json")),
        "champion": next((r.event.version for r in reversed(records) if r.event.KIND == "champion"), ""),
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
