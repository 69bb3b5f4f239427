"""What happens to the governor, and what it wrote down about it. Plain values; nothing here touches a disk.

A record is one line of the journal: an event, when it came, what was decided, and why. Times are two: ``time`` by
the wall clock, for people, and ``at``, seconds on the governor's own clock (`monitoring.governor.clock`), which
never goes back and which cooldowns and budgets are counted on.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Literal

from htr.errors import DataError
from monitoring.sealed import opened, sealed, when

FORMAT_VERSION = 1
Choice = Literal["ignore", "ask_for_labels", "wait", "train", "roll_back", "note"]
"""``wait``: it stands, and something named in the reason holds it back. ``note``: a fact that asks for nothing."""
Result = Literal["promoted", "rejected", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One alert of an Alertmanager webhook."""

    KIND: ClassVar[str] = "alert"

    episode: str
    """Group key, fingerprint and start: the same however often Alertmanager says it again."""
    name: str
    firing: bool
    """False: it says that the alert has ended."""
    model: str = ""
    """Digest of the bundle that it is about; "" for whichever is champion."""
    summary: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A person or a schedule asks for a training."""

    KIND: ClassVar[str] = "wish"

    id: str
    """Chosen by whoever asks; the same wish again is ignored."""
    by: Literal["person", "schedule"] = "person"
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """How many corrected lines there are, all in all."""

    KIND: ClassVar[str] = "labels"

    count: int
    digest: str
    """Of which lines they are, and what they say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Champion:
    """Which model the registry calls champion, and which one it was before."""

    KIND: ClassVar[str] = "champion"

    version: str
    digest: str
    previous: str = ""
    """Version that the alias ``previous`` points to, "" for none."""
    previous_digest: str = ""
    cer: float | None = None
    """Golden CER that it was registered with, as a fraction; None where the registry does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The launcher is about to be asked to start a run."""

    KIND: ClassVar[str] = "attempt"

    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unconfirmed:
    """A start came back without a yes or no."""

    KIND: ClassVar[str] = "unconfirmed"

    key: str
    said: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A run is there."""

    KIND: ClassVar[str] = "started"

    key: str
    run_id: str
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run came to its end, or will never have a beginning."""

    KIND: ClassVar[str] = "ended"

    key: str
    result: Result
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """The kill switch was thrown, or taken back."""

    KIND: ClassVar[str] = "switch"

    stopped: bool
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySet:
    """The policy that holds from now on."""

    KIND: ClassVar[str] = "policy"

    digest: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What was measured about one model; None where it could not be measured."""

    readings: float = 0.0
    doubt: float | None = None
    error_rate: float | None = None
    latency: float | None = None
    cer: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How the new champion does beside the one before."""

    KIND: ClassVar[str] = "measured"

    version: str
    """The champion that is watched."""
    now: Figures
    before: Figures
    """Of the champion before, while it served."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """The alias was moved back, or was found where it could not be."""

    KIND: ClassVar[str] = "rolled_back"

    version: str
    """The version that lost the alias."""
    moved: bool
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServersTold:
    """Servers that had been told the bundle of a version that lost the alias are told the one before."""

    KIND: ClassVar[str] = "servers_told"

    version: str
    """The version that lost the alias."""
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """Time has passed."""

    KIND: ClassVar[str] = "tick"


Event = (
    Alert | Wish | Labels | Champion | Attempt | Unconfirmed | Started | Ended | Switch | PolicySet | Measured
    | RolledBack | ServersTold | Tick
)  # fmt: skip
_KINDS: dict[str, Any] = {
    kind.KIND: kind
    for kind in (
        Alert, Wish, Labels, Champion, Attempt, Unconfirmed, Started, Ended, Switch, PolicySet, Measured,
        RolledBack, ServersTold, Tick,
    )
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is to be done, and why."""

    choice: Choice
    reason: str
    key: str = ""
    """Of ``train``: what the training is for, and its run's name in the launcher."""
    concern: Literal["", "person", "degraded", "drift", "schedule"] = ""
    """As what an alert or a wish stands from now on; "" where it does not."""
    wanted: int = 0
    """Of ``ask_for_labels``: how many lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One line of the journal."""

    seq: int
    """From 1, without gaps."""
    time: datetime
    at: float
    event: Event
    decision: Decision = field(default_factory=lambda: Decision(choice="note", reason=""))

    @property
    def is_quiet(self) -> bool:
        """Return whether it says only that time has passed: clocks need it, people do not."""
        return isinstance(self.event, Tick) and self.decision.choice in {"ignore", "wait"}


def to_json(record: Record) -> str:
    """Return a record's line, without its end."""
    return sealed(
        {
            "format_version": FORMAT_VERSION,
            **when(seq=record.seq, time=record.time, at=record.at),
            "event": {"kind": record.event.KIND, **asdict(record.event)},
            "decision": asdict(record.decision),
        }
    )


def from_json(line: bytes) -> Record:
    """Read a line that `to_json` wrote.

    Raises:
        DamagedLineError: the line is cut off or altered.
        DataError: it is of another format version, or no record.
    """
    values = opened(line, version=FORMAT_VERSION)
    try:
        return Record(
            seq=values["seq"],
            time=datetime.fromisoformat(values["time"]),
            at=values["at"],
            event=event_from(values["event"]),
            decision=Decision(**values["decision"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"no record of the governor ({error}); restore the file") from error


def event_from(values: Mapping[str, Any]) -> Event:
    """Return the event that a record's ``event`` stands for.

    Raises:
        KeyError: no event is called so.
        ValueError, TypeError: it has other fields.
    """
    given = dict(values)
    kind = _KINDS[given.pop("kind")]
    if set(given) != {spec.name for spec in fields(kind)}:
        raise ValueError(f"fields are {sorted(given)}")
    for name in ("now", "before"):
        if name in given:
            given[name] = Figures(**given[name])
    event: Event = kind(**given)
    return event
