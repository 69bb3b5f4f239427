"""Kill -9 at every write: a rollout is told once for every place where a step can be cut off, then to its end.

    python -m tests.rollout_kills FOLDER promoted|rolled_back

Each step is a process of its own, as a timer starts them, and ends itself with SIGKILL at one place: before or
after a record is on disk, before or after Kubernetes or the registry has done what it was asked. Traffic,
Kubernetes' API and the clock live on in the parent. Prints one JSON line a place.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from htr import append_log
from k8s.cluster.api import Api, Object
from k8s.cluster.release import Route, Servers
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Champion
from monitoring.rollout.guard import Guard
from monitoring.rollout.journal import Journal
from monitoring.rollout.parts import Parts
from monitoring.rollout.policy import Policy
from monitoring.rollout.records import Done, Looked
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.rollout import STABLE_PATH, Traits, World

POLICY = Policy(steps=(50,), min_minutes=0.0, min_requests=100)
MOST_STEPS = 12
CANARIES = {"promoted": Traits(), "rolled_back": Traits(failures=0.3)}


def main(folder: Path, result: str) -> int:
    """Tell the story for every place; return 0."""
    place = 0
    while True:
        place += 1
        with kubernetes_api() as api:
            told = tell(api, folder / f"{place:03}", CANARIES[result], kill_at=place)
            told["uri"] = api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["storageUri"]
        sys.stdout.write(json.dumps({"place": place, **told}) + "\n")
        sys.stdout.flush()
        if not told["killed"]:
            return 0


@dataclass(frozen=True, kw_only=True)
class CountedApi(Api):
    """Counts a place before and after every write that it asks for."""

    step: Callable[[], None] = field(default=lambda: None)

    def _ask_once(self, method: str, path: str, value: Object | None) -> Object:
        if method == "GET":
            return super()._ask_once(method, path, value)
        self.step()
        answer = super()._ask_once(method, path, value)
        self.step()
        return answer


@dataclass(frozen=True)
class FileAliases:
    """A registry in a file: it outlives who talks to it."""

    file: Path
    step: Callable[[], None] = field(default=lambda: None)

    def champion(self) -> Champion:
        version = self.file.read_text() if self.file.exists() else "2"
        letters = {"1": "a", "2": "b"}
        other = "1" if version == "2" else "2"
        return Champion(
            version=version,
            digest=f"sha256:{letters[version] * 64}",
            previous=other,
            previous_digest=f"sha256:{letters[other] * 64}",
        )

    def was_taken_back(self, digest: str) -> bool:
        return self.champion().digest != digest

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        self.step()
        self.file.write_text(champion.previous)
        self.step()
        return True, f"version {champion.previous} is champion again"


def tell(api: KubernetesApi, folder: Path, canary: Traits, *, kill_at: int) -> dict[str, Any]:
    """Tell the story with one kill at the n-th place; return what came of it."""
    world = World(api, folder / "state", canary=canary, seed=3)
    passed, was_killed, weights = 0, False, [world.weights()]
    world.do(lambda guard: guard.start(POLICY))
    for _ in range(MOST_STEPS):
        left = kill_at - passed
        number, killed = _in_a_child(world, folder, kill_at=left if not was_killed and left > 0 else 0)
        passed += number
        was_killed = was_killed or killed
        if world.weights() != weights[-1]:
            weights.append(world.weights())
        journal = Journal(folder / "state")
        journal.read()
        if not journal.state.is_active:
            break
        world.settle()
        world.traffic(1500)
    events = [record.event for record in journal.records]
    return {
        "killed": was_killed,
        "phase": journal.state.phase,
        "result": [result for result, _ in journal.state.results.values()],
        "weights": weights,
        "decided": [one.choice for one in events if isinstance(one, Looked) and one.choice != "hold"],
        "done": [one.choice for one in events if isinstance(one, Done)],
        "gaps": [one.seq for one in journal.records] != list(range(1, len(journal.records) + 1)),
        "alias": FileAliases(folder / "alias").champion().version,
    }


def _in_a_child(world: World, folder: Path, *, kill_at: int) -> tuple[int, bool]:
    """Take one step in a fork; return how many places it passed, and whether it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            passed = _step(world, folder, kill_at)
            os.write(writing, json.dumps(passed).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return 0, True
    assert os.WEXITSTATUS(status) == 0, "the step failed"
    return int(text), False


def _step(world: World, folder: Path, kill_at: int) -> int:
    passed = 0
    real = os.fsync

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
    api = CountedApi(url=world.api.url, step=step)
    with Journal(folder / "state").alone() as journal:
        state = journal.state
        Guard(
            journal=journal,
            clock=GovernedClock(
                state.at, state.time, wall=lambda: world.clock.wall, steady=lambda: world.clock.steady
            ),
            parts=Parts(
                servers=Servers(api=api),
                route=Route(api=api),
                source=world.source,
                registry=FileAliases(folder / "alias", step),
            ),
        ).step()
    return passed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
