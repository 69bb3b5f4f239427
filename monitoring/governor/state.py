"""What the governor knows: the journal's records, folded one after another. It touches no disk and no clock.

The same records always give the same state, whatever the policy is today: what was decided is taken from the
record, not decided anew. So a process that was killed goes on where its journal ends.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Literal

from monitoring.governor.events import (
    Alert,
    Attempt,
    Champion,
    Decision,
    Ended,
    Event,
    Labels,
    PolicySet,
    Record,
    Result,
    RolledBack,
    ServersTold,
    Started,
    Switch,
    Unconfirmed,
    Wish,
)

DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
MOST_SEEN = 20_000
"""Alerts and wishes that are remembered; of more, the oldest are forgotten."""
ConcernKind = Literal["person", "degraded", "drift", "schedule"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Concern:
    """Something that asks for a training until it is dealt with."""

    id: str
    """An alert's episode, or a wish's id."""
    kind: ConcernKind
    name: str
    seq: int = 0
    """Record that it came with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """People were asked to correct lines."""

    seq: int
    """Record of the decision; names the request."""
    at: float
    wanted: int
    """So many more than there were."""
    reason: str
    target: int = 0
    """So many corrected lines that no training had yet start one: those that there were, and ``wanted``."""


@dataclass(kw_only=True, slots=True)
class Run:
    """A training that was decided on and has not ended."""

    key: str
    seq: int
    """Record of the decision."""
    at: float
    labels: int
    """Corrected lines that there were then."""
    champion: str
    """Digest of the champion then."""
    time: datetime | None = None
    """When it was decided on, by the wall clock: what it brings was registered later."""
    num_attempts: int = 0
    last_attempt_at: float = 0.0
    run_id: str = ""
    """"" until the launcher is known to have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """A new champion, and the one that it took the alias from."""

    champion: Champion
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """An alert or a wish that was answered."""

    seq: int
    model: str = ""


@dataclass(kw_only=True)
class State:
    """Everything that decisions rest on."""

    seq: int = 0
    at: float = 0.0
    time: datetime | None = None
    policy_digest: str = ""
    champion: Champion | None = None
    labels: Labels | None = None
    spent: int = 0
    """Corrected lines that the last training to its end had."""
    concerns: dict[str, Concern] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    labelling: Labelling | None = None
    run: Run | None = None
    starts: list[float] = field(default_factory=list)
    """When trainings were decided on, of the last week."""
    last_end: float | None = None
    misses: int = 0
    """Trainings in a row that brought no champion, one that was rolled back included."""
    results: dict[str, Result] = field(default_factory=dict)
    """Key of every run that ended -> how."""
    watch: Watch | None = None
    rolling: Champion | None = None
    """The champion that is to lose the alias."""
    taken_back: str = ""
    """Digest of the champion that lost it, until the next one is known: that one is no promotion."""
    behind: Champion | None = None
    """The champion that lost it, until servers that were told its bundle are known to be told the one before."""
    choices: Counter[str] = field(default_factory=Counter)
    """How often each was decided."""
    num_rollbacks: int = 0
    stopped: bool = False
    stopped_why: str = ""

    @property
    def fresh(self) -> int:
        """Corrected lines that no training had yet."""
        return max(0, (self.labels.count if self.labels else 0) - self.spent)

    def apply(self, record: Record) -> None:
        """Take a record in.

        Raises:
            ValueError: it is not the one that comes next.
        """
        if record.seq != self.seq + 1:
            raise ValueError(f"expected record {self.seq + 1}, got {record.seq}")
        self.seq, self.time = record.seq, record.time
        self.at = max(self.at, record.at)
        self.starts = [start for start in self.starts if start > self.at - WEEK_S]
        self._take_event(record.event, record.decision)
        self._take_decision(record.decision)
        self.choices[record.decision.choice] += 1

    def _take_event(self, event: Event, decision: Decision) -> None:
        match event:
            case Alert():
                self._take_alert(event, decision)
            case Wish():
                self._saw(f"wish {event.id}")
                if decision.concern:
                    self.concerns[event.id] = Concern(
                        id=event.id, kind=decision.concern, name=event.by, seq=self.seq
                    )
            case Labels():
                self.labels = event
            case Champion():
                self._take_champion(event)
            case Switch():
                self.stopped, self.stopped_why = event.stopped, event.said
            case PolicySet():
                self.policy_digest = event.digest
            case Ended():
                self._take_end(event)
            case RolledBack():
                self.behind = self.rolling if event.moved else None
                self.rolling = self.watch = None
                self.misses += event.moved
                self.num_rollbacks += event.moved
                if not event.moved:
                    self.taken_back = ""
            case ServersTold():
                self.behind = None
            case Attempt() | Unconfirmed() | Started() if self.run and self.run.key == event.key:
                if isinstance(event, Started):
                    self.run.run_id = event.run_id
                elif isinstance(event, Attempt):
                    self.run.num_attempts += 1
                    self.run.last_attempt_at = self.at
            case _:
                pass

    def _take_alert(self, alert: Alert, decision: Decision) -> None:
        self._saw(seen_as(alert) or "", alert.model)
        if not alert.firing:
            self.concerns.pop(alert.episode, None)
        elif decision.concern:
            self.concerns[alert.episode] = Concern(
                id=alert.episode, kind=decision.concern, name=alert.name, seq=self.seq
            )

    def _take_champion(self, champion: Champion) -> None:
        before = self.champion
        self.champion = champion
        if before is None or before.digest == champion.digest:
            return
        if self.behind is not None and self.behind.digest == champion.digest:
            self.behind = None  # somebody has brought it back
        # Whatever was said was said about the model that was.
        self.concerns.clear()
        self.labelling = None
        # What was said about this one, before anybody knew that it is champion, may be said again.
        self.seen = {name: seen for name, seen in self.seen.items() if seen.model != champion.digest}
        self.watch = None
        if before.digest == self.taken_back:
            self.taken_back = ""
            return
        self.misses = 0
        watched = champion.previous_digest == before.digest and champion.previous
        self.watch = Watch(champion=champion, at=self.at) if watched else None

    def _take_end(self, ended: Ended) -> None:
        if self.run is None or self.run.key != ended.key:
            return
        self.results[ended.key] = ended.result
        self.last_end = self.at
        if ended.result != "failed":  # a training that failed learnt nothing: its lines are still fresh
            self.spent = self.run.labels
            self.labelling = None
        self.misses = 0 if ended.result == "promoted" else self.misses + 1
        if ended.result != "failed":
            self.concerns = {c.id: c for c in self.concerns.values() if c.kind not in {"person", "schedule"}}
        self.run = None

    def _take_decision(self, decision: Decision) -> None:
        if decision.choice == "train":
            self.starts.append(self.at)
            self.run = Run(
                key=decision.key,
                seq=self.seq,
                at=self.at,
                labels=self.labels.count if self.labels else 0,
                champion=self.champion.digest if self.champion else "",
                time=self.time,
            )
        elif decision.choice == "ask_for_labels":
            self.labelling = Labelling(
                seq=self.seq,
                at=self.at,
                wanted=decision.wanted,
                reason=decision.reason,
                target=self.fresh + decision.wanted,
            )
        elif decision.choice == "roll_back" and self.watch is not None:
            self.rolling = self.watch.champion
            self.taken_back = self.rolling.digest

    def _saw(self, name: str, model: str = "") -> None:
        self.seen[name] = Seen(seq=self.seq, model=model)
        if len(self.seen) > MOST_SEEN:
            self.seen = dict(islice(self.seen.items(), len(self.seen) - MOST_SEEN, None))


def seen_as(event: Event) -> str | None:
    """Return the name by which an event is known when it comes again; None for those that may come often."""
    if isinstance(event, Alert):
        return f"{'firing' if event.firing else 'ended'} {event.episode}"
    return f"wish {event.id}" if isinstance(event, Wish) else None


def fold(records: Iterable[Record]) -> State:
    """Return the state after some records."""
    state = State()
    for record in records:
        state.apply(record)
    return state
