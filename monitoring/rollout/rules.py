"""The rules: what is known and what one look saw in, a choice and its reason out. Nothing here changes anything.

the canary does not answer, or serves another bundle, several looks in a row
    (not where the stable server cannot be asked either: that says nothing)   -> roll_back
a guard's evidence reaches the limit                                          -> roll_back
a stage has not come to an end in time                                        -> roll_back
enough requests and time, and every plain figure within its margin            -> advance, promote, finish
anything else                                                                 -> hold
"""

import math
from dataclasses import dataclass

from monitoring.rollout.counts import Counts
from monitoring.rollout.guards import Finding, Pairs
from monitoring.rollout.records import Choice
from monitoring.rollout.state import State, stages_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one look saw, this stage's counts included."""

    at: float
    """Seconds on the rollout's clock."""
    away: str = ""
    """Why the canary cannot be judged, "" where it can."""
    blind: str = ""
    """Why there is nothing to compare it with, "" where there is."""
    unheard: bool = False
    """Neither could be asked: whoever tells of both is away, which says nothing about the canary."""
    canary: Counts
    stable: Counts
    pairs: Pairs
    pairs_left: bool = False
    """More paired lines will come."""
    findings: tuple[Finding, ...] = ()
    has_bounds: bool = True
    """The latency guards have bounds."""
    stable_ready: bool = False
    """The stable server serves the canary's bundle (asked when settling only)."""


def decide(state: State, seen: Seen) -> tuple[Choice, str]:
    """Decide what follows from a look, and say why.

    Args:
        state: what was known before the look.
        seen: what the look saw.
    """
    policy, spent_s = state.policy, seen.at - state.since
    is_away = bool(seen.away) and not seen.unheard
    if state.phase != "waiting" and is_away and state.num_away + 1 >= policy.away_steps:
        return "roll_back", f"away {policy.away_steps} looks in a row: {seen.away}"
    late = spent_s >= policy.give_up_hours * 3600
    hours = f"{policy.give_up_hours:g} h"
    if state.phase == "waiting":
        if not seen.away:
            return "advance", f"the canary serves its bundle; first stage: {stages_of(policy)[0].name}"
        return ("roll_back", f"no canary after {hours}: {seen.away}") if late else ("hold", seen.away)
    if state.phase == "settling":
        if seen.stable_ready:
            return "finish", "the stable server serves the bundle; traffic goes back to it"
        told = "the stable server does not serve the bundle yet; the canary has all traffic"
        return "hold", f"{told}, for {spent_s / 3600:.1f} h now" if late else told
    if seen.away or seen.blind:
        told = f"away: {seen.away}" if seen.away else f"nothing to compare it with: {seen.blind}"
        told = f"neither can be asked: {seen.away}" if seen.unheard else told
        return ("roll_back", f"gave up after {hours}: {told}") if late else ("hold", told)
    bad = [one for one in seen.findings if one.log_evidence >= policy.log_limit]
    if bad:
        told = "; ".join(str(one) for one in bad)
        return "roll_back", f"{told} (evidence 1 : {_odds(bad[0])}, limit 1 : {math.exp(policy.log_limit):.0f})"
    lacks = _lacks(state, seen, spent_s)
    if not lacks:
        stages = stages_of(policy)
        if state.stage + 1 < len(stages):
            return "advance", f"all guards within their margins; next stage: {stages[state.stage + 1].name}"
        return "promote", "all guards within their margins at the last stage; the stable server gets the bundle"
    if late:
        return "roll_back", f"gave up after {hours}: {lacks}"
    return "hold", lacks


def _lacks(state: State, seen: Seen, spent_s: float) -> str:
    """Say what the stage still wants, "" where nothing."""
    policy = state.policy
    if state.weights.mirrored:
        enough = seen.pairs.compared >= policy.min_requests or not seen.pairs_left
        counted = f"{seen.pairs.compared} paired lines of {policy.min_requests}"
    else:
        enough = min(seen.canary.requests, seen.stable.requests) >= policy.min_requests
        counted = f"{seen.canary.requests:.0f} requests of {policy.min_requests}"
        if seen.canary.requests >= policy.min_requests:
            counted = f"{seen.stable.requests:.0f} requests of {policy.min_requests} of the stable server's"
    if not enough:
        return counted
    if spent_s < policy.min_minutes * 60:
        return f"{spent_s / 60:.1f} minutes of {policy.min_minutes:g}"
    if not seen.has_bounds and not state.weights.mirrored:
        return "the stable server's history is too short to bound the latency"
    # Of losses there are few, and no more may come: a plain figure that happens to be high must not hold for ever.
    beyond = [str(one) for one in seen.findings if not one.is_within and one.guard != "losses"]
    return f"beyond the margin, without evidence enough: {'; '.join(beyond)}" if beyond else ""


def _odds(finding: Finding) -> str:
    return f"{math.exp(min(finding.log_evidence, 300)):.3g}"
