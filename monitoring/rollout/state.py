"""What the records add up to: which rollout is under way, in which phase, and what it has counted so far.

waiting    the canary starts; no traffic yet
judging    a stage: the canary has its share, and is compared
settling   the canary has all traffic, and the stable server is being given the same bundle
ended      promoted, rolled back or aborted
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from htr.errors import DataError
from k8s.cluster.release import Weights, digest_of
from monitoring.rollout.counts import Counts, Sample
from monitoring.rollout.guards import Pairs
from monitoring.rollout.policy import Policy, policy_from
from monitoring.rollout.records import Asked, Choice, Done, Looked, Record, Result, Started

Phase = Literal["none", "waiting", "judging", "settling", "ended"]
_ENDS: Mapping[Choice, Result] = {
    "finish": "promoted", "roll_back": "rolled_back", "abort": "aborted", "let_go": "aborted",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of the rollout with weights of its own."""

    weights: Weights

    @property
    def name(self) -> str:
        """For people."""
        return "shadow" if self.weights.mirrored else f"{self.weights.canary} %"


def stages_of(policy: Policy) -> list[Stage]:
    """Return the stages at which the canary is compared, in order."""
    shadow = [Stage(weights=Weights(stable=100, canary=0, mirrored=True))] * policy.shadow
    return shadow + [Stage(weights=Weights(stable=100 - step, canary=step)) for step in policy.steps]


@dataclass(kw_only=True)
class State:
    """The fold of all records."""

    seq: int = 0
    at: float = 0.0
    time: datetime | None = None
    phase: Phase = "none"
    rollout: Started | None = None
    policy: Policy = field(default_factory=Policy)
    stage: int = -1
    """Index of the stage; -1 before the first."""
    since: float = 0.0
    """When phase or stage began, on the rollout's clock."""
    pending: Choice | None = None
    """What was decided and is not done yet."""
    reason: str = ""
    """Of the newest look or wish."""
    looked: datetime | None = None
    """When samples were last taken in this stage."""
    samples: Mapping[str, Mapping[str, Sample]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    pairs: Pairs = field(default_factory=Pairs)
    cursor: str = ""
    bounds: Mapping[str, str] = field(default_factory=dict)
    num_away: int = 0
    results: dict[str, tuple[Result, str]] = field(default_factory=dict)
    """Digest of a canary -> what came of its last rollout, and why."""
    num_rollouts: int = 0

    @property
    def is_active(self) -> bool:
        """Return whether a rollout is under way."""
        return self.phase not in {"none", "ended"}

    @property
    def weights(self) -> Weights:
        """Return the weights that this phase wants."""
        if self.phase == "judging":
            return stages_of(self.policy)[self.stage].weights
        return Weights(stable=0, canary=100) if self.phase == "settling" else Weights(stable=100, canary=0)

    @property
    def weights_after_advance(self) -> Weights:
        """Return the weights of the next stage."""
        return stages_of(self.policy)[self.stage + 1].weights

    def apply(self, record: Record) -> None:
        """Take a record in.

        Raises:
            DataError: it does not follow from those before it.
        """
        if record.seq != self.seq + 1:
            raise DataError(f"record {record.seq} follows record {self.seq}; restore the file from a backup")
        match record.event:
            case Started():
                self._started(record.event, record.at)
            case Looked():
                self._looked(record.event, record.time)
            case Asked():
                self.pending, self.reason = "abort", record.event.reason
            case Done():
                self._done(record.event, record.at)
        self.seq, self.at, self.time = record.seq, record.at, record.time

    def _started(self, event: Started, at: float) -> None:
        if self.is_active:
            raise DataError("a rollout begins before the one before it has ended; restore the file from a backup")
        self.rollout, self.policy = event, policy_from(event.policy, where="the policy of a started rollout")
        self.num_rollouts += 1
        self.phase, self.pending, self.reason = "waiting", None, ""
        self.pairs, self.cursor, self.bounds = Pairs(), "", {}
        self._begin_stage(-1, at)

    def _begin_stage(self, stage: int, at: float) -> None:
        self.stage, self.since, self.num_away, self.looked = stage, at, 0, None
        self.samples, self.counts = {}, {}

    def _looked(self, event: Looked, time: datetime) -> None:
        if event.bounds and not self.bounds:  # what was counted before belongs to no bound: from here on
            self.bounds, self.counts = event.bounds, {}
        else:
            arms = {*self.counts, *event.counts}
            self.counts = {arm: self.counts.get(arm, Counts()) + event.counts.get(arm, Counts()) for arm in arms}
        self.samples = {**self.samples, **event.samples}
        self.looked = time if event.samples else self.looked
        self.pairs, self.cursor = self.pairs + event.pairs, event.cursor
        self.num_away = self.num_away + 1 if event.is_away else 0
        self.reason = event.reason
        if event.choice != "hold":
            self.pending = event.choice

    def _done(self, event: Done, at: float) -> None:
        if event.choice != self.pending or self.rollout is None:
            raise DataError(f"{event.choice} was done and not decided; restore the file from a backup")
        self.pending = None
        if event.choice == "advance":
            self.phase = "judging"
            self._begin_stage(self.stage + 1, at)
        elif event.choice == "promote":
            self.phase = "settling"
            self._begin_stage(self.stage, at)
        else:
            self.phase = "ended"
            self.results[digest_of(self.rollout.canary_uri)] = (_ENDS[event.choice], self.reason)
