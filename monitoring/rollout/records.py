"""What the rollout wrote down: one JSON line a record, each with a digest of its own. Plain values; no disk here.

started   a canary is to be tried: which bundles, under which policy
looked    what both arms had counted, what the guards made of it, and what follows
asked     a person asked for an end
done      what followed is done
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Literal

from htr.errors import DataError
from monitoring.rollout.counts import Counts, Sample, sample_to_dict
from monitoring.rollout.guards import Finding, Pairs
from monitoring.sealed import opened, sealed, when

FORMAT_VERSION = 1
Choice = Literal["hold", "advance", "promote", "finish", "roll_back", "abort", "let_go"]
"""``abort``: a person's wish. ``let_go``: somebody else changed what is ours to change; nothing is touched."""
Result = Literal["promoted", "rolled_back", "aborted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A canary is to be tried."""

    KIND: ClassVar[str] = "started"

    id: str
    stable_uri: str
    canary_uri: str
    policy: Mapping[str, Any]
    again: bool = False
    """A person wants it tried though it was rolled out, or taken back, before. Written only where it is so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What was seen at one look, and what follows."""

    KIND: ClassVar[str] = "looked"

    choice: Choice
    reason: str
    samples: Mapping[str, Mapping[str, Sample]] = field(default_factory=dict)
    """Arm -> process -> what it has counted since it began; the next look counts from there."""
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """Arm -> what it counted since the look before."""
    pairs: Pairs = field(default_factory=Pairs)
    """Lines that both read since the look before."""
    cursor: str = ""
    """Where the next paired lines begin."""
    bounds: Mapping[str, str] = field(default_factory=dict)
    """Guard -> bucket of the latency histogram, once the stable server's history is long enough."""
    is_away: bool = False
    """The canary did not answer, or served another bundle."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A person asked for an end."""

    KIND: ClassVar[str] = "asked"

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a choice asked for is done."""

    KIND: ClassVar[str] = "done"

    choice: Choice
    said: str = ""


Event = Started | Looked | Asked | Done
_KINDS: dict[str, Any] = {kind.KIND: kind for kind in (Started, Looked, Asked, Done)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One line of the journal."""

    seq: int
    """From 1, without gaps."""
    time: datetime
    """By the wall clock."""
    at: float
    """Seconds on a clock that never goes back (`monitoring.governor.clock`)."""
    event: Event


def to_json(record: Record) -> str:
    """Return a record's line, without its end."""
    event = asdict(record.event)
    if isinstance(record.event, Started) and not record.event.again:
        del event["again"]  # as records were before there was such a field: older releases read them
    if isinstance(record.event, Looked):
        event["samples"] = {
            arm: {name: sample_to_dict(sample) for name, sample in processes.items()}
            for arm, processes in record.event.samples.items()
        }
        event["counts"] = {
            arm: {name: value for name, value in counts.values.items() if value}
            for arm, counts in record.event.counts.items()
        }
    return sealed(
        {
            "format_version": FORMAT_VERSION,
            **when(seq=record.seq, time=record.time, at=record.at),
            "event": {"kind": record.event.KIND, **event},
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
            event=_event(values["event"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"no record of a rollout ({error!r}); restore the file") from error


def _event(values: Mapping[str, Any]) -> Event:
    given = dict(values)
    kind = _KINDS[given.pop("kind")]
    names = {spec.name for spec in fields(kind)} - ({"again"} if kind is Started else set())
    if set(given) - {"again"} != names:
        raise ValueError(f"fields are {sorted(given)}")
    if kind is Looked:
        given["samples"] = {
            arm: {name: Sample(**sample) for name, sample in processes.items()}
            for arm, processes in given["samples"].items()
        }
        given["counts"] = {arm: Counts(values=counts) for arm, counts in given["counts"].items()}
        given["pairs"] = Pairs(**given["pairs"])
        given["findings"] = tuple(
            Finding(**{**one, "canary": tuple(one["canary"]), "stable": tuple(one["stable"])})
            for one in given["findings"]
        )
    event: Event = kind(**given)
    return event
