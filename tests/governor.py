"""A governor in a small world that a test moves: clocks, alerts, and a cluster that keeps its runs in a folder."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from htr.errors import ServiceError
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Alert, Champion, Labels
from monitoring.governor.governor import Governor
from monitoring.governor.journal import Journal
from monitoring.governor.parts import Parts
from monitoring.governor.policy import Policy
from monitoring.governor.runs import Found, RefusedError
from tests.fakes import NOON

HOUR = 3600.0


class WorldClock:
    """A wall clock that can be set, and a steady one that cannot."""

    def __init__(self) -> None:
        self.wall = NOON
        self.steady = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def set_wall(self, jump: timedelta) -> None:
        self.wall += jump

    def governed(self, journal: Journal) -> GovernedClock:
        return GovernedClock(journal.state.at, journal.state.time, wall=self._wall, steady=self._steady)

    def _wall(self) -> datetime:
        return self.wall

    def _steady(self) -> float:
        return self.steady


class FolderCluster:
    """A pipeline service in a folder, one file a run: it outlives who talks to it, and answers may be lost.

    Args:
        folder: where the runs are.
        behave: for every start in turn ``ok``, ``lost`` (accepted, no answer comes), ``down`` or ``refuse``;
            the last one holds on.
        happened: told when a run was made, before the answer is given.
    """

    def __init__(
        self, folder: Path, behave: list[str] | None = None, happened: Callable[[], None] = lambda: None
    ) -> None:
        self.folder = folder
        self.behave = behave or ["ok"]
        self.looks_down = False
        self._happened = happened
        folder.mkdir(parents=True, exist_ok=True)

    def runs(self) -> list[dict[str, Any]]:
        """Return every run that was ever made."""
        return [json.loads(file.read_text()) for file in sorted(self.folder.glob("*.json"))]

    def end(self, state: str, *, promoted: bool | None = False, digest: str = "") -> int:
        """End all runs that are running; return how many."""
        ended = 0
        for file in self.folder.glob("*.json"):
            run = json.loads(file.read_text())
            if run["state"] == "running":
                run |= {"state": state, "promoted": promoted, "digest": digest, "version": digest}
                file.write_text(json.dumps(run))
                ended += 1
        return ended

    def find(self, key: str) -> Found | None:
        if self.looks_down:
            raise ServiceError("nobody answers")
        for run in self.runs():
            if run["key"] == key:
                values = {name: run[name] for name in ("run_id", "state", "promoted", "digest", "version")}
                return Found(**values)
        return None

    def start(self, key: str, arguments: Mapping[str, str]) -> str:
        how = self.behave.pop(0) if len(self.behave) > 1 else self.behave[0]
        if how == "down":
            raise ServiceError("nobody answers")
        if how == "refuse":
            raise RefusedError("the quota is spent for good")
        number = len(self.runs()) + 1
        run = {"run_id": f"run-{number}", "key": key, "state": "running", "arguments": dict(arguments)}
        run |= {"promoted": None, "digest": "", "version": ""}
        (self.folder / f"{number:03}.json").write_text(json.dumps(run))
        self._happened()
        if how == "lost":
            raise ServiceError("timed out")
        return f"run-{number}"


class SetLabels:
    """Corrected lines that a test sets."""

    def __init__(self, count: int = 0) -> None:
        self.number = count

    def count(self) -> Labels:
        return Labels(count=self.number, digest=f"lines-{self.number}")

    def dataset(self, key: str) -> Path | None:
        return Path("corrected") if self.number else None


class SetRegistry:
    """A registry that a test sets."""

    def __init__(self, digest: str = "A") -> None:
        self.now = Champion(version=digest, digest=digest)
        self.num_moves = 0
        self.is_down = False
        self.brought: dict[str, str] = {}
        """Version -> key of the training that brought it; none of ours did the others."""

    def asked_by(self, version: str) -> str:
        return self.brought.get(version, "")

    def promote(self, digest: str) -> None:
        if digest != self.now.digest:
            old = self.now
            self.now = Champion(version=digest, digest=digest, previous=old.version, previous_digest=old.digest)

    def champion(self) -> Champion | None:
        if self.is_down:
            raise ServiceError("MLflow is away")
        return self.now

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        if self.now.version == champion.previous:
            return True, "there already"
        if self.now.version != champion.version:
            return False, "somebody else moved it"
        self.num_moves += 1
        self.now = Champion(version=champion.previous, digest=champion.previous_digest)
        return True, "moved"


def make_governor(
    state: Path, runs: Any, *, clock: WorldClock | None = None, policy: Policy | None = None, **parts: Any
) -> Governor:
    """Return a governor on the journal of a folder, as a process that has just begun would."""
    journal = Journal(state)
    journal.open()
    clock = clock or WorldClock()
    made = Parts(runs=runs, registry_every_s=0.0, measure_every_s=0.0, **parts)
    return Governor(journal, policy or Policy(settle_s=1.0), clock.governed(journal), made)


def alert(episode: str = "e1", *, name: str = "HandwritingDrift", firing: bool = True, model: str = "A") -> Alert:
    """Return an alert about a model."""
    return Alert(episode=episode, name=name, firing=firing, model=model)
