"""A recorded history in; why each decision was taken, and which would be under another policy, out.

Under another policy trainings begin that never ran, and others do not that did. What is not known is assumed, and
said: a training that never ran takes as long as those that did (ASSUMED_S where none did) and is rejected; the
registry, people and alerts do what they did.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from monitoring.governor.events import (
    Attempt,
    Decision,
    Ended,
    Event,
    Labels,
    PolicySet,
    Record,
    RolledBack,
    ServersTold,
    Started,
    Tick,
    Unconfirmed,
)
from monitoring.governor.policy import Policy, policy_from
from monitoring.governor.rules import decide
from monitoring.governor.state import State

ASSUMED_S = 3600.0
TICK_S = 300.0
MOST_TICKS = 2000
"""Between two records; of longer times, the ticks lie further apart."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One event, with what was decided and what would have been."""

    time: datetime
    event: Event
    was: Decision | None
    """None where there was no such event."""
    now: Decision
    seq: int = 0
    """Of the record; 0 where there is none."""

    @property
    def is_quiet(self) -> bool:
        """Return whether time passed, and nothing else was or would be done."""
        return isinstance(self.event, Tick) and not self.differs and self.now.choice in {"ignore", "wait"}

    @property
    def differs(self) -> bool:
        """Return whether something else would be done."""
        was = self.was.choice if self.was is not None else "ignore"
        return was != self.now.choice


def explain(records: Iterable[Record]) -> Iterator[Replayed]:
    """Decide every event anew under the policy that held then: what differs was decided by other rules."""
    state, policy = State(), Policy()
    for record in records:
        if isinstance(record.event, PolicySet):
            policy = policy_from(record.event.values, where=f"record {record.seq}")
        now = decide(state, record.event, policy, record.at)
        yield Replayed(time=record.time, event=record.event, was=record.decision, now=now, seq=record.seq)
        state.apply(record)


def redecide(records: Sequence[Record], policy: Policy) -> Iterator[Replayed]:
    """Decide a history anew under another policy, what follows from each decision included.

    Args:
        records: of a journal, all of them.
        policy: the other policy.
    """
    return _Replay(records, policy).run()


class _Replay:
    def __init__(self, records: Sequence[Record], policy: Policy) -> None:
        self._records = records
        self._policy = policy
        self._state = State()
        self._length_s = _usual_length(records)

    def run(self) -> Iterator[Replayed]:
        before: Record | None = None
        for record in self._records:
            if before is not None:
                yield from self._meanwhile(before, record)
            before = record
            event = self._as_it_would_be(record.event, record.at)
            if event is not None:
                yield self._take(event, record)
            elif isinstance(record.event, Tick):  # what it decided then, it would not now
                now = decide(self._state, record.event, self._policy, record.at)
                yield Replayed(time=record.time, event=record.event, was=record.decision, now=now, seq=record.seq)

    def _meanwhile(self, before: Record, record: Record) -> Iterator[Replayed]:
        """Let the time between two records pass: assumed trainings end, and what waited comes due."""
        gap = record.at - before.at
        step = max(TICK_S, gap / MOST_TICKS)
        for number in range(1, int(gap / step) + 1):
            at = before.at + number * step
            time = before.time + timedelta(seconds=number * step)
            run = self._state.run
            if run is not None and at >= run.at + self._length_s:
                yield self._take(Ended(key=run.key, result="rejected", said="assumed"), None, at, time)
            decision = decide(self._state, Tick(), self._policy, at)
            if decision.choice in {"train", "ask_for_labels"}:
                yield self._take(Tick(), None, at, time)

    def _as_it_would_be(self, event: Event, at: float) -> Event | None:
        """Return a recorded event as it would have come; None where it would not."""
        run = self._state.run
        if isinstance(event, PolicySet):
            return PolicySet(digest=self._policy.digest, values=self._policy.to_dict())
        if isinstance(event, Attempt | Unconfirmed | Started):
            return None
        if isinstance(event, RolledBack):
            return event if self._state.rolling is not None else None
        if isinstance(event, ServersTold):
            return event if self._state.behind is not None else None
        if isinstance(event, Ended):
            return replace(event, key=run.key) if run is not None else None
        if isinstance(event, Tick):
            decision = decide(self._state, event, self._policy, at)
            return event if decision.choice in {"train", "ask_for_labels"} else None
        return event

    def _take(
        self, event: Event, record: Record | None, at: float = 0.0, time: datetime | None = None
    ) -> Replayed:
        at = record.at if record is not None else at
        time = record.time if record is not None else time
        assert time is not None  # noqa: S101 - a fault of ours
        decision = decide(self._state, event, self._policy, at)
        self._state.apply(Record(seq=self._state.seq + 1, time=time, at=at, event=event, decision=decision))
        was = record.decision if record is not None else None
        return Replayed(time=time, event=event, was=was, now=decision, seq=record.seq if record is not None else 0)


def _usual_length(records: Iterable[Record]) -> float:
    begun: dict[str, float] = {}
    lengths = []
    for record in records:
        if record.decision.choice == "train":
            begun[record.decision.key] = record.at
        if isinstance(record.event, Ended) and record.event.key in begun:
            lengths.append(record.at - begun[record.event.key])
    return median(lengths) if lengths else ASSUMED_S


def described(event: Event) -> str:
    """Return an event in a few words."""
    values = {name: getattr(event, name, "") for name in ("name", "by", "version", "result", "run_id", "key")}
    about = next((str(value) for value in values.values() if value), "")
    if isinstance(event, Labels):
        about = str(event.count)
    ended = getattr(event, "firing", True) is False
    return f"{event.KIND} {about}".strip() + " ended" * ended
