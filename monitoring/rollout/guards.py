"""Counts of both arms in, what each guard makes of them out. Nothing here remembers anything.

failures, shed             requests
latency_p95, latency_p99   requests above the bound that the stable server's history set when the stage began
doubt, empty, verdicts     lines, of which those of one request count as one
disagreement, losses       lines that were sent to both
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.rollout.counts import Counts
from monitoring.rollout.evidence import log_one_rate, log_two_rates
from monitoring.rollout.policy import GUARDS, Policy

SHADOW_GUARDS = ("disagreement", "losses")
QUANTILES = {"latency_p95": 0.95, "latency_p99": 0.99}
_OF_LINES = {"doubt": ("doubtful", "readings"), "empty": ("empty", "readings"), "verdicts": ("remarked", "images")}
LEAST_HISTORY = 100
"""So many requests must the stable server have answered before its latency bounds anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one guard found."""

    guard: str
    canary: tuple[float, float]
    """How often it happened, and out of how many."""
    stable: tuple[float, float]
    """The same; of guards on paired lines the limit, and 0."""
    margin: float
    log_evidence: float

    @property
    def is_within(self) -> bool:
        """Return whether the plain figures are within the margin, whatever the evidence."""
        return not self.canary[1] or (self.left is not None and self.left >= -1e-12)

    @property
    def left(self) -> float | None:
        """How much the plain figure may rise before it is beyond the margin; None where nothing was counted."""
        (hits, of), (base, of_base) = self.canary, self.stable
        if not of or (self.guard not in SHADOW_GUARDS and not of_base):
            return None
        return (base if self.guard in SHADOW_GUARDS else base / of_base + self.margin) - hits / of

    def __str__(self) -> str:
        hits, of = self.canary
        told = f"{self.guard}: {_share(hits, of)}"
        base, of_base = self.stable
        if self.guard in SHADOW_GUARDS:
            return f"{told}, {base:.1%} are let be"
        return f"{told} after {_share(base, of_base)}, {self.margin:.1%} more are let be"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Lines that both were asked to read."""

    compared: int = 0
    differ: int = 0
    only_stable: int = 0
    """Of known text, read right by the stable server alone."""
    only_canary: int = 0

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            compared=self.compared + other.compared,
            differ=self.differ + other.differ,
            only_stable=self.only_stable + other.only_stable,
            only_canary=self.only_canary + other.only_canary,
        )


def bounds_of(history: Counts) -> dict[str, str]:
    """Return the bucket that bounds each share of the stable server's requests; none with too little history.

    Args:
        history: what the stable server has counted since it began.
    """
    buckets = {name.removeprefix("within "): value for name, value in history.values.items() if "within " in name}
    of = buckets.get("+Inf", 0.0)
    if of < LEAST_HISTORY:
        return {}
    rising = sorted((le for le in buckets if le != "+Inf"), key=float)
    return {
        guard: next((le for le in rising if buckets[le] >= quantile * of), "+Inf")
        for guard, quantile in QUANTILES.items()
    }


def judge(
    canary: Counts,
    stable: Counts,
    pairs: Pairs,
    bounds: Mapping[str, str],
    policy: Policy,
    *,
    shadow: bool = False,
) -> list[Finding]:
    """Return every guard's finding, in the order of `GUARDS`; in a shadow stage those on paired lines only.

    Args:
        canary: what it has counted in this stage.
        stable: the same of the stable server.
        pairs: lines of this stage that both have read.
        bounds: of the latency guards; see `bounds_of`.
        policy: margins, and how many lines count as one.
        shadow: the canary gets copies only.
    """
    names = SHADOW_GUARDS if shadow else GUARDS
    return [_judge(name, canary, stable, pairs, bounds, policy) for name in names]


def _judge(
    name: str, canary: Counts, stable: Counts, pairs: Pairs, bounds: Mapping[str, str], policy: Policy
) -> Finding:
    margin = getattr(policy.margins, name)
    if name == "disagreement":
        return _against(name, (pairs.differ, pairs.compared), margin, margin)
    if name == "losses":
        decided = pairs.only_stable + pairs.only_canary
        return _against(name, (pairs.only_stable, decided), min(1.0, 0.5 + margin), margin)
    one, other = (_share_of(name, arm, bounds, policy) for arm in (canary, stable))
    return Finding(
        guard=name, canary=one, stable=other, margin=margin, log_evidence=log_two_rates(one, other, margin)
    )


def _against(name: str, counts: tuple[int, int], limit: float, margin: float) -> Finding:
    evidence = log_one_rate(counts, limit)
    return Finding(guard=name, canary=counts, stable=(limit, 0.0), margin=margin, log_evidence=evidence)


def _share_of(name: str, arm: Counts, bounds: Mapping[str, str], policy: Policy) -> tuple[float, float]:
    match name:
        case "failures":
            return _counts(arm["failed"], arm.requests)
        case "shed":
            return _counts(arm["shed"], arm.requests + arm["shed"])
        case "latency_p95" | "latency_p99":
            of = arm["within +Inf"] if bounds.get(name) else 0.0
            return _counts(of - arm[f"within {bounds.get(name)}"], of)
    together = policy.lines_together or max(1.0, arm["readings"] / max(1.0, arm["read"]))
    happened, out_of = _OF_LINES[name]
    return _counts(arm[happened] / together, arm[out_of] / together)


def _counts(hits: float, of: float) -> tuple[float, float]:
    """Return counts that fit each other: a page of metrics is not drawn in one instant."""
    return min(max(0.0, hits), of), of


def _share(hits: float, of: float) -> str:
    return f"{hits / of if of else math.nan:.1%} of {of:.0f}"
