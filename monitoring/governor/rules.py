"""The rules: what is known and what happens in, a decision and its reason out. Nothing here changes anything.

    an alert about another model than the champion, or that the policy does not name  -> ignore
    the kill switch, a run in flight, the cooldown, a spent budget                    -> wait
    an alarm, but fewer corrected lines than the policy wants                         -> ask_for_labels, then wait
    an alarm or a wish, and lines that no training had yet                            -> train
    a new champion that does worse than the one before                                -> roll_back

What waits is decided anew at every `Tick`. Same state, same event, same policy, same answer.
"""

import hashlib
from collections.abc import Iterable

from htr.bundle import short
from monitoring.governor.events import (
    Alert,
    Attempt,
    Champion,
    Decision,
    Ended,
    Event,
    Labels,
    Measured,
    PolicySet,
    RolledBack,
    ServersTold,
    Started,
    Switch,
    Tick,
    Unconfirmed,
    Wish,
)
from monitoring.governor.policy import HOUR_S, Policy
from monitoring.governor.state import DAY_S, WEEK_S, Concern, ConcernKind, State, seen_as
from monitoring.governor.watch import compare

_ORDER: tuple[ConcernKind, ...] = ("person", "degraded", "drift", "schedule")


def answered(state: State, event: Event) -> int | None:
    """Return the record that answered the very same event before, or None."""
    name = seen_as(event)
    seen = state.seen.get(name) if name is not None else None
    return seen.seq if seen is not None else None


def decide(state: State, event: Event, policy: Policy, at: float) -> Decision:
    """Decide, and say why.

    Args:
        state: what was known before the event.
        event: what happens.
        policy: when to train.
        at: now, on the governor's clock.
    """
    if (seq := answered(state, event)) is not None:
        return Decision(choice="ignore", reason=f"answered already, by record {seq}")
    match event:
        case Alert():
            return _alert(state, event, policy, at)
        case Wish():
            return _wish(state, event, policy, at)
        case Tick():
            return _next(state, policy, at, list(state.concerns.values()))
        case Measured():
            return _measured(state, event, policy, at)
        case _:
            return Decision(choice="note", reason=_fact(state, event))


def cooldown_s(state: State, policy: Policy) -> float:
    """Return how long the next training keeps away from the end of the last one."""
    hours = policy.cooldown_hours * policy.backoff ** min(state.misses, 64)
    return min(hours, max(policy.max_cooldown_hours, policy.cooldown_hours)) * HOUR_S


def is_watched(state: State, policy: Policy, at: float) -> bool:
    """Return whether the champion may still lose its alias by itself."""
    return state.watch is not None and state.rolling is None and at < state.watch.at + policy.watch.hours * HOUR_S


def _alert(state: State, alert: Alert, policy: Policy, at: float) -> Decision:
    kind = policy.alerts.get(alert.name)
    if kind is None:
        return Decision(choice="ignore", reason=f"the policy names no alert {alert.name!r}")
    if not alert.firing:
        stood = alert.episode in state.concerns
        return Decision(
            choice="note", reason=f"{alert.name} has ended" + "; it no longer asks for a training" * stood
        )
    if f"ended {alert.episode}" in state.seen:
        return Decision(choice="ignore", reason=f"{alert.name} has ended already; its news came late")
    champion = state.champion.digest if state.champion else ""
    if alert.model and champion and alert.model != champion:
        about = short(alert.model)
        return Decision(
            choice="ignore", reason=f"{alert.name} is about {about}, the champion is {short(champion)}"
        )
    concern = Concern(id=alert.episode, kind=kind, name=alert.name, seq=state.seq + 1)
    return _next(state, policy, at, [*state.concerns.values(), concern], concern=kind)


def _wish(state: State, wish: Wish, policy: Policy, at: float) -> Decision:
    if wish.by == "schedule" and policy.policy == "labels_first" and state.fresh < policy.min_lines:
        return Decision(
            choice="ignore",
            reason=f"scheduled, but {state.fresh} corrected lines of {policy.min_lines} that no training had yet",
        )
    concern = Concern(id=wish.id, kind=wish.by, name=wish.by, seq=state.seq + 1)
    return _next(state, policy, at, [*state.concerns.values(), concern], concern=wish.by)


def _next(
    state: State, policy: Policy, at: float, concerns: list[Concern], *, concern: ConcernKind | None = None
) -> Decision:
    """Decide on everything that stands; ``concern`` is the kind of the one that has just come."""
    choice, reason, key, wanted = _stands(state, policy, at, concerns)
    return Decision(choice=choice, reason=reason, key=key, wanted=wanted, concern=concern or "")  # type: ignore[arg-type]


def _stands(state: State, policy: Policy, at: float, concerns: list[Concern]) -> tuple[str, str, str, int]:
    leads = sorted(concerns, key=lambda one: (_ORDER.index(one.kind), -one.seq))  # of a kind the newest
    # One whose training was tried for good keeps no other back.
    lead = next((one for one in leads if _key(state, policy, one)[0]), leads[0] if leads else None)
    if lead is None and state.labelling is None:
        return "ignore", "nothing asks for a training", "", 0
    why = _why(lead)
    if state.stopped:
        return "wait", f"{why}, but the kill switch is on ({state.stopped_why})", "", 0
    if state.run is not None:
        return "wait", f"{why}, but a training is in flight (record {state.run.seq})", "", 0
    if state.rolling is not None:
        return "wait", f"{why}, but the champion is being rolled back", "", 0
    by_person = lead is not None and lead.kind == "person"
    at_once = lead is not None and policy.policy == "retrain_at_once"
    wanted = policy.min_lines_degraded if lead is not None and lead.kind == "degraded" else policy.min_lines
    if (
        state.labelling is not None
    ):  # what people were asked for is enough, whatever alarm is left of those of then
        wanted = min(wanted, state.labelling.target)
    lines = f"{state.fresh} corrected lines of {wanted} that no training had yet"
    if not (by_person or at_once) and state.fresh < wanted:
        if state.labelling is None:
            return "ask_for_labels", f"{why}, and {lines}", "", wanted - state.fresh
        return "wait", f"{why}, and {lines}; asked for by record {state.labelling.seq}", "", 0
    key, tried = _key(state, policy, lead)
    if not key:
        return "wait", f"{why}, but the training for it {tried}; new lines or a person may ask for another", "", 0
    if held := _held_back(state, policy, at, at_once=by_person and not tried):
        return "wait", f"{why}, but {held}", "", 0
    had = lines if not (by_person or at_once) else f"{state.fresh} corrected lines that no training had yet"
    return "train", f"{why}, and {had}" + f"; the one before {tried}" * bool(tried), key, 0


def _why(lead: Concern | None) -> str:
    if lead is None:
        return "the lines that were asked for are awaited, though the alarm has ended"
    told = {"person": "a person asks", "schedule": "it is scheduled"}
    return told.get(lead.kind, f"{lead.name} ({lead.kind}, record {lead.seq})")


def _key(state: State, policy: Policy, lead: Concern | None) -> tuple[str, str]:
    """Return the key of the training to begin, "" where none may be; and what came of the one before, if any."""
    own = ""  # of a training that lines alone do not name
    if lead is not None and (lead.kind == "person" or policy.policy == "retrain_at_once"):
        own = lead.id
    champion = state.champion.digest if state.champion else ""
    labels = state.labels.digest if state.labels else ""
    base = hashlib.sha256("\n".join((champion, labels, own)).encode()).hexdigest()[:20]
    keys = [f"{base}-{number}" for number in range(1, policy.max_attempts + 1)]
    results = [state.results[key] for key in keys if key in state.results]
    if any(result != "failed" for result in results):
        return "", f"was {results[-1]} already"
    if len(results) == len(keys):
        return "", f"failed {len(results)} times"
    return keys[len(results)], "failed" * bool(results)


def _held_back(state: State, policy: Policy, at: float, *, at_once: bool) -> str:
    """Say what keeps a training back, "" where nothing does. ``at_once``: a person asks; no cooldown."""
    if state.last_end is not None and not at_once:
        left = state.last_end + cooldown_s(state, policy) - at
        if left > 0:
            after = f", {state.misses} in a row brought no champion" * (state.misses > 0)
            return f"the cooldown lasts {_span(left)} more{after}"
    for span, most, name in ((DAY_S, policy.max_runs_day, "day"), (WEEK_S, policy.max_runs_week, "week")):
        begun = [start for start in state.starts if start > at - span]
        if len(begun) >= most:
            left = sorted(begun)[len(begun) - most] + span - at
            return f"{len(begun)} trainings of {most} a {name} were begun; the next may in {_span(left)}"
    return ""


def _measured(state: State, event: Measured, policy: Policy, at: float) -> Decision:
    if state.stopped:
        return Decision(choice="wait", reason=f"the kill switch is on ({state.stopped_why})")
    watched = state.watch.champion.version if state.watch and is_watched(state, policy, at) else None
    if watched != event.version:
        return Decision(choice="ignore", reason=f"version {event.version} is not watched")
    outcome = compare(event.now, event.before, policy.watch)
    if outcome.worse:
        return Decision(
            choice="roll_back", reason=f"version {event.version} does worse: {'; '.join(outcome.worse)}"
        )
    return Decision(choice="ignore", reason=outcome.remark)


def _fact(state: State, event: Event) -> str:
    match event:
        case Labels():
            return f"{event.count} corrected lines"
        case Champion():
            return _new_champion(state, event)
        case Attempt():
            return f"asking for run {event.key}"
        case Unconfirmed():
            return f"not confirmed: {event.said}"
        case Started():
            return f"run {event.run_id}" + f" ({event.said})" * bool(event.said)
        case Ended():
            return event.result + f": {event.said}" * bool(event.said)
        case Switch():
            return f"kill switch on: {event.said}" if event.stopped else "kill switch off"
        case PolicySet():
            return f"policy {short(event.digest)}"
        case RolledBack():
            moved = "lost the alias" if event.moved else "kept what it has"
            return f"version {event.version} {moved}" + f": {event.said}" * bool(event.said)
        case ServersTold():
            return event.said
        case _:
            return ""


def _new_champion(state: State, event: Champion) -> str:
    if state.champion is None or state.champion.digest == event.digest:
        return f"the champion is version {event.version}"
    closed = _names(one.name for one in state.concerns.values())
    return f"version {event.version} takes over from {state.champion.version}" + f"; closed: {closed}" * bool(
        closed
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{max(1, minutes)} min"
