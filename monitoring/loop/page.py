"""What is known about the loop in, one offline HTML page out: it runs no script and asks nobody for anything."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from htr.append_log import write_durably
from htr.bundle import short
from htr.errors import OutputError, SettingsError
from htr.labelling import read_request
from monitoring.governor.events import Champion, Record, Tick
from monitoring.governor.policy import Policy
from monitoring.governor.replay import described
from monitoring.governor.rules import decide
from monitoring.governor.state import State, fold
from monitoring.loop.drawing import Points, draw_curves, draw_timeline
from monitoring.loop.timeline import TrainingRun, bars, training_runs

TEMPLATE = Path(__file__).with_name("page.html")
MOST_DECISIONS = 300
_TONES = {"train": "good", "ask_for_labels": "warn", "roll_back": "bad", "promoted": "good", "rejected": "warn"}
_TONES |= {"failed": "bad"}


@dataclass(frozen=True, kw_only=True)
class LoopFacts:
    """What the page shows."""

    records: Sequence[Record]
    now: datetime
    state_dir: Path
    policy: Policy = field(default_factory=Policy)
    verdict: Mapping[str, Any] | None = None
    measured: Mapping[str, Points] = field(default_factory=dict)
    """Name of a curve -> character error rates over time, oldest first."""
    audited: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """Digest -> measured CER and lines behind it."""
    links: Sequence[tuple[str, Path | str]] = ()
    """Title and file, or address."""
    run_url: str = ""
    """Address of a run in the pipeline's own pages, with ``{run_id}`` in it; "" for none."""


def render_page(facts: LoopFacts, out: Path) -> str:
    """Return the page.

    Args:
        facts: what it shows.
        out: where it will lie; links to files are written as seen from there.

    Raises:
        DataError: a labelling request is damaged.
        SettingsError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise SettingsError("jinja2 is not installed; pip install 'quillflow[monitoring]'") from error
    state = fold(facts.records)
    begun = facts.records[0].time if facts.records else facts.now
    ended = max([facts.now, *(record.time for record in facts.records)])
    shown = [record for record in facts.records if not record.is_quiet]
    curves = _curves(facts, ended)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    drawn = draw_curves(curves, begun, ended, "Character error rate") if any(curves.values()) else ""
    timeline = draw_timeline(bars(facts.records), begun, ended) if facts.records else ""
    return environment.from_string(
        TEMPLATE.read_text(encoding="utf-8")
    ).render(
        made=f"{facts.now:%Y-%m-%d %H:%M} UTC",
        num_records=len(facts.records),
        begun=f"{begun:%Y-%m-%d %H:%M}" if facts.records else "",
        figures=_figures(facts, state),
        concerns=list(state.concerns.values()),
        stopped=state.stopped_why if state.stopped else "",
        waiting=_waiting(state, facts.policy),
        timeline=Markup(timeline),  # noqa: S704 - our own drawing, its texts escaped
        curves=Markup(drawn),  # noqa: S704 - the same
        curve_names=list(curves),
        drift=_drift(facts.verdict),
        labelling=_labelling(facts, state),
        runs=[_run(run, facts) for run in training_runs(facts.records)],
        decisions=[_decision(record) for record in reversed(shown[-MOST_DECISIONS:])],
        links=[{"title": title, "href": _href(to, out)} for title, to in facts.links],
    )


def write_page(html: str, out: Path) -> None:
    """Write a page whole or not at all.

    Raises:
        OutputError: it cannot be written there.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_durably(out, html.encode())
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error


def _figures(facts: LoopFacts, state: State) -> list[dict[str, str]]:
    champion = state.champion
    figures = [
        {
            "title": "Champion",
            "value": f"version {champion.version}" if champion else "none yet",
            "note": short(champion.digest) if champion else "the registry has none",
        }
    ]
    if champion and champion.cer is not None:
        note = "characters misread on the golden test"
        figures.append({"title": "Golden CER", "value": f"{champion.cer:.1%}", "note": note})
    if champion and champion.digest in facts.audited:
        cer, lines = facts.audited[champion.digest]
        figures.append({"title": "Measured CER", "value": f"{cer:.1%}", "note": f"on {lines} audited lines"})
    estimated = (facts.verdict or {}).get("estimated")
    if estimated is not None:
        low, high = estimated["interval"]
        value, note = f"{estimated['cer']:.1%}", f"without labels; 90 %: {low:.1%} to {high:.1%}"
        if why := estimated.get("cannot_tell"):
            value, note = "cannot tell", why
        figures.append({"title": "Estimated CER", "value": value, "note": note})
    count = state.labels.count if state.labels else 0
    figures.append(
        {"title": "Corrected lines", "value": f"{count:,}", "note": f"{state.fresh:,} not yet learnt from"}
    )
    return figures


def _curves(facts: LoopFacts, ended: datetime) -> dict[str, Points]:
    golden: list[tuple[datetime, float]] = []
    for record in facts.records:
        if isinstance(record.event, Champion) and record.event.cer is not None:
            if golden:  # a step, not a slope: it was the old champion's until now
                golden.append((record.time, golden[-1][1]))
            golden.append((record.time, record.event.cer))
    if golden:
        golden.append((ended, golden[-1][1]))
    return {name: points for name, points in {"golden test": golden, **facts.measured}.items() if points}


def _waiting(state: State, policy: Policy) -> str:
    if state.run is not None:
        name = state.run.run_id or "not confirmed yet"
        return f"a training is in flight ({name})"
    decision = decide(state, Tick(), policy, state.at)
    return decision.reason if decision.choice != "ignore" else ""


def _drift(verdict: Mapping[str, Any] | None) -> dict[str, str] | None:
    if verdict is None:
        return None
    names = [feature["name"] for feature in verdict["features"] if feature["drifted"]]
    told = f"{verdict['rows']} readings by {short(verdict['bundle_digest']) or 'several models'}"
    told += f"; what changed: {', '.join(names)}" * bool(names)
    if verdict.get("changed_since"):
        told += f"; since {datetime.fromisoformat(verdict['changed_since']):%Y-%m-%d %H:%M}"
    tones = {"drift": "warn", "quiet": "good", "not_enough": ""}
    return {"state": verdict["state"].replace("_", " "), "tone": tones[verdict["state"]], "told": told}


def _labelling(facts: LoopFacts, state: State) -> dict[str, Any] | None:
    labelling = state.labelling
    if labelling is None:
        return None
    request = read_request(facts.state_dir, labelling.seq)
    told = f"{labelling.wanted} lines are asked for by record {labelling.seq}: {labelling.reason}. "
    told += f"{state.fresh} corrected lines have come that no training had yet."
    return {"told": told, "lines": request.lines if request else ()}


def _run(run: TrainingRun, facts: LoopFacts) -> dict[str, str]:
    folder = facts.state_dir / "runs" / run.key / "output.log"
    link = facts.run_url.replace("{run_id}", run.run_id) if facts.run_url and run.run_id else ""
    return {
        "begun": f"{run.begun:%Y-%m-%d %H:%M}",
        "ended": f"{run.ended:%Y-%m-%d %H:%M}" if run.ended else "",
        "result": run.result or "in flight",
        "tone": _TONES.get(run.result, ""),
        "run_id": run.run_id or run.key,
        "link": link or (folder.absolute().as_uri() if folder.exists() else ""),
        "reason": run.reason,
        "said": run.said,
    }


def _decision(record: Record) -> dict[str, Any]:
    choice = record.decision.choice
    return {
        "seq": record.seq,
        "time": f"{record.time:%Y-%m-%d %H:%M:%S}",
        "event": described(record.event),
        "choice": choice.replace("_", " "),
        "tone": _TONES.get(choice, ""),
        "reason": record.decision.reason,
    }


def _href(to: Path | str, out: Path) -> str:
    return os.path.relpath(to, out.parent) if isinstance(to, Path) else to


def trend(points: Sequence[tuple[datetime, int, int]], *, over: timedelta) -> list[tuple[datetime, float]]:
    """Return error rates over time from counted errors: one point a span that has any.

    Args:
        points: time, edits and characters, oldest first.
        over: the span.
    """
    found: list[tuple[datetime, float]] = []
    edits = characters = 0
    begun: datetime | None = None
    for time, some, of in points:
        if begun is not None and time >= begun + over:
            found.append((begun + over / 2, edits / max(1, characters)))
            begun, edits, characters = None, 0, 0
        begun = begun or time
        edits, characters = edits + some, characters + of
    if begun is not None:
        found.append((begun, edits / max(1, characters)))
    return found
