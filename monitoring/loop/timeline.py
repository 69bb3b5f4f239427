"""A journal in, bars on a timeline out: champions, alarms, labelling requests, trainings, rollbacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.governor.events import Alert, Champion, Ended, Record, RolledBack, Started


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """Something that lasted."""

    row: str
    label: str
    begun: datetime
    ended: datetime | None
    """None while it lasts."""
    tone: str = "plain"
    """plain, good, warn or bad."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """One training, from its decision on."""

    key: str
    reason: str
    begun: datetime
    run_id: str = ""
    ended: datetime | None = None
    result: str = ""
    said: str = ""


ROWS = ("champion", "alarms", "lines asked for", "trainings")
_TONES = {"promoted": "good", "rejected": "warn", "failed": "bad"}


def bars(records: Sequence[Record]) -> list[Bar]:
    """Return what a journal tells, row by row."""
    found: list[Bar] = []
    open_bars: dict[tuple[str, str], Record] = {}

    def begin(row: str, name: str, record: Record) -> None:
        open_bars.setdefault((row, name), record)

    def end(row: str, name: str, label: str, when: datetime, tone: str = "plain") -> None:
        begun = open_bars.pop((row, name), None)
        if begun is not None:
            found.append(Bar(row=row, label=label, begun=begun.time, ended=when, tone=tone))

    champion = ""
    for record in records:
        event = record.event
        if isinstance(event, Champion):
            if champion:  # the first one that is heard of ends nothing
                _end_all(open_bars, found, record.time, rows=("alarms", "lines asked for"))
            end("champion", champion, f"version {champion}", record.time)
            champion = event.version
            begin("champion", champion, record)
        elif isinstance(event, RolledBack) and event.moved:
            found.append(
                Bar(row="champion", label="rolled back", begun=record.time, ended=record.time, tone="bad")
            )
        elif isinstance(event, Alert) and event.firing and record.decision.concern:
            begin("alarms", event.episode, record)
        elif isinstance(event, Alert) and not event.firing:
            end("alarms", event.episode, event.name, record.time, "warn")
        elif isinstance(event, Ended):
            end("trainings", event.key, event.result, record.time, _TONES[event.result])
            if event.result != "failed":
                _end_all(open_bars, found, record.time, rows=("lines asked for",))
        if record.decision.choice == "train":
            begin("trainings", record.decision.key, record)
        elif record.decision.choice == "ask_for_labels":
            begin("lines asked for", "", record)
    for (row, name), record in open_bars.items():
        label = f"version {name}" if row == "champion" else _label(record, row)
        found.append(
            Bar(row=row, label=label, begun=record.time, ended=None, tone="warn" if row == "alarms" else "plain")
        )
    return sorted(found, key=lambda bar: (ROWS.index(bar.row), bar.begun))


def training_runs(records: Sequence[Record]) -> list[TrainingRun]:
    """Return every training that was decided on, newest first."""
    runs: dict[str, dict[str, object]] = {}
    for record in records:
        event, decision = record.event, record.decision
        if decision.choice == "train":
            runs[decision.key] = {"key": decision.key, "reason": decision.reason, "begun": record.time}
        elif isinstance(event, Started) and event.key in runs:
            runs[event.key]["run_id"] = event.run_id
        elif isinstance(event, Ended) and event.key in runs:
            runs[event.key] |= {"ended": record.time, "result": event.result, "said": event.said}
    return [TrainingRun(**values) for values in reversed(runs.values())]  # type: ignore[arg-type]


def _end_all(
    open_bars: dict[tuple[str, str], Record], found: list[Bar], when: datetime, *, rows: tuple[str, ...]
) -> None:
    for row, name in [key for key in open_bars if key[0] in rows]:
        record = open_bars.pop((row, name))
        tone = "warn" if row == "alarms" else "plain"
        found.append(Bar(row=row, label=_label(record, row), begun=record.time, ended=when, tone=tone))


def _label(record: Record, row: str) -> str:
    if isinstance(record.event, Alert):
        return record.event.name if row == "alarms" else f"{record.decision.wanted} lines"
    return {"trainings": "in flight", "lines asked for": f"{record.decision.wanted} lines"}.get(row, "")
