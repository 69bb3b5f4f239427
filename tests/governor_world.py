"""A governor in a world of its own: a clock that passes by, a cluster in a folder, lines and a registry."""

from pathlib import Path

from monitoring.governor.events import Wish
from monitoring.governor.governor import Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.policy import Policy
from tests.governor import FolderCluster, SetLabels, SetRegistry, WorldClock, make_governor

FEW = Policy(settle_s=1.0, min_lines=10, min_lines_degraded=3)


class World:
    """A governor, its cluster, its lines and its registry."""

    def __init__(self, folder: Path, policy: Policy = FEW, behave: list[str] | None = None) -> None:
        self.folder = folder / "state"
        self.policy = policy
        self.clock = WorldClock()
        self.cluster = FolderCluster(folder / "cluster", behave)
        self.labels = SetLabels()
        self.registry = SetRegistry()
        self.governor = self.restart()

    def restart(self) -> Governor:
        self.governor = make_governor(
            self.folder,
            self.cluster,
            clock=self.clock,
            policy=self.policy,
            labels=self.labels,
            registry=self.registry,
        )
        self.governor.turn()
        return self.governor

    def turns(self, number: int, every_s: float = 30.0) -> None:
        for _ in range(number):
            self.clock.pass_by(every_s)
            self.governor.turn()

    def end(self, state: str, *, promoted: str = "") -> None:
        self.cluster.end(state, promoted=bool(promoted), digest=promoted)
        if promoted:
            self.registry.promote(promoted)
        self.turns(1)

    def train_once(self, lines: int) -> None:
        self.labels.number = lines
        self.governor.turn()
        self.governor.take(Wish(id=f"wish-{lines}"))
        self.turns(2)

    def reasons(self) -> list[str]:
        return [record.decision.reason for record in read_journal(self.folder)]
