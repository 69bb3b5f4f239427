"""How often the rollout's guard takes back a canary that is not worse, and how soon one that is.

    python -m benchmarks.rollout --rollouts 1000

Every rollout is simulated with the guard's own rules, a look a minute. The traffic is invented (see
`benchmarks.rollout_traffic`): rates do not change within a stage, and requests are independent of each other.
"""

import argparse
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.rollout_traffic import Server, Traits
from monitoring.rollout.counts import Counts, counted_between
from monitoring.rollout.guards import Finding, Pairs, bounds_of, judge
from monitoring.rollout.policy import GUARDS, Policy
from monitoring.rollout.records import Choice, Started
from monitoring.rollout.rules import Seen, decide
from monitoring.rollout.state import State, stages_of

A_MINUTE = 200
"""Requests of both arms together in a minute."""
LOOK_S = 60.0
PLAIN = Traits()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of canary."""

    name: str
    stable: Traits = PLAIN
    canary: Traits = PLAIN
    differ: float = 0.05
    """Share of paired lines that are read differently."""
    losses: float = 0.5
    """Of those, the share that only the stable server reads right; the others only the canary."""
    null: bool = False
    """The canary is not worse by more than the margins: whoever takes it back is wrong."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one rollout."""

    choice: Choice
    guards: tuple[str, ...]
    """Those that took it back; none where time ran out."""
    requests: int
    """That the canary had by then."""
    minutes: float


def cases() -> Iterator[Case]:
    """Yield the kinds of canary of the table."""
    plain, pages = PLAIN, Traits(lines=25, together=True)
    yield Case(name="equal", null=True)
    yield Case(name="equal, 25 lines a request, all of a kind", stable=pages, canary=pages, null=True)
    yield Case(name="doubt worse by its margin: 10 % -> 15 %", canary=Traits(doubt=0.15), null=True)
    at_margins = Traits(failures=0.012, shed=0.02, doubt=0.15, empty=0.025, remarked=0.10, stuck=0.0195)
    yield Case(name="worse by every margin", canary=at_margins, differ=0.30, losses=0.6, null=True)
    for name, changes in (
        ("failures 0.2 % -> 3 %", {"failures": 0.03}),
        ("failures 0.2 % -> 10 %", {"failures": 0.10}),
        ("turned away 0 -> 5 %", {"shed": 0.05}),
        ("all requests 1.5 times as slow", {"slower": 1.5}),
        ("all requests twice as slow", {"slower": 2.0}),
        ("5 % of requests stuck", {"stuck": 0.05}),
        ("doubt 10 % -> 20 %", {"doubt": 0.20}),
        ("doubt 10 % -> 30 %", {"doubt": 0.30}),
        ("empty 0.5 % -> 5 %", {"empty": 0.05}),
        ("verdicts 5 % -> 15 %", {"remarked": 0.15}),
    ):
        yield Case(name=name, canary=replace(plain, **changes))  # type: ignore[arg-type] # each change is a float
    yield Case(name="doubt 10 % -> 30 %, 25 lines a request", stable=pages, canary=replace(pages, doubt=0.30))
    yield Case(name="reads 50 % of paired lines differently", differ=0.5)
    yield Case(name="loses 80 % of 10 % that differ", differ=0.1, losses=0.8)


def simulate(case: Case, policy: Policy, rng: np.random.Generator, *, probes: int = 2000) -> Outcome:
    """Roll one canary out.

    Args:
        case: the canary.
        policy: steps and margins.
        rng: of the traffic.
        probes: lines of known text that there are.
    """
    stable, canary = Server("a", case.stable), Server("b", case.canary)
    stable.take(1000, rng)
    bounds = bounds_of(Counts(values=stable.values))
    pairs, minutes = Pairs(), 0.0
    for number, stage in enumerate(stages_of(policy)):
        state = State(
            phase="judging", policy=policy, rollout=Started(id="", stable_uri="", canary_uri="", policy={})
        )
        state.stage = number
        base = {"s": stable.sample()}, {"c": canary.sample()}
        spent_s = 0.0
        choice: Choice = "hold"
        while choice == "hold":
            spent_s += LOOK_S
            minutes += LOOK_S / 60
            number_of = int(rng.binomial(A_MINUTE, stage.weights.canary / 100))
            stable.take(A_MINUTE - number_of, rng)
            canary.take(number_of, rng)
            pairs += _pairs(case, min(policy.probes, probes - pairs.compared), rng)
            one = counted_between(base[1], {"c": canary.sample()}, since=0.0)
            other = counted_between(base[0], {"s": stable.sample()}, since=0.0)
            found = tuple(judge(one, other, pairs, bounds, policy))
            left = pairs.compared < probes
            seen = Seen(at=spent_s, canary=one, stable=other, pairs=pairs, pairs_left=left, findings=found)
            choice, _ = decide(state, seen)
        if choice == "roll_back":
            by = _bad(found, policy)
            return Outcome(choice=choice, guards=by, requests=_requests(canary), minutes=minutes)
    return Outcome(choice="promote", guards=(), requests=_requests(canary), minutes=minutes)


def table(rollouts: int, *, seed: int, policy: Policy) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| canary | promoted | taken back | out of time | by | requests it had, median (90 %) | minutes |"
    yield "|---|---|---|---|---|---|---|"
    for number, case in enumerate(cases()):
        rng = np.random.default_rng([seed, number])
        found = [simulate(case, policy, rng) for _ in range(rollouts)]
        back = [one for one in found if one.choice == "roll_back" and one.guards]
        promoted = sum(one.choice == "promote" for one in found)
        late = rollouts - len(back) - promoted
        by = Counter(guard for one in back for guard in one.guards)
        of = back if not case.null else found
        requests = sorted(one.requests for one in of) or [0]
        median = f"{statistics.median(requests):.0f} ({requests[math.ceil(0.9 * len(requests)) - 1]})"
        minutes = f"{statistics.median([one.minutes for one in of] or [0.0]):.0f}"
        told = ", ".join(f"{guard} {count}" for guard, count in by.most_common(3))
        shown = f"**{case.name}**" if case.null else case.name
        yield f"| {shown} | {promoted} | {len(back)} | {late} | {told} | {median} | {minutes} |"


def _pairs(case: Case, number: int, rng: np.random.Generator) -> Pairs:
    differ = int(rng.binomial(number, case.differ))
    lost = int(rng.binomial(differ, case.losses))
    return Pairs(compared=number, differ=differ, only_stable=lost, only_canary=differ - lost)


def _bad(found: tuple[Finding, ...], policy: Policy) -> tuple[str, ...]:
    return tuple(one.guard for one in found if one.log_evidence >= policy.log_limit)


def _requests(server: Server) -> int:
    counted: Mapping[str, float] = server.values
    return int(sum(counted.get(name, 0.0) for name in ("read", "failed", "shed")))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=1000, help="simulated a case (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    policy = Policy()
    print(
        f"{args.rollouts} rollouts a case, seed {args.seed}; alpha {policy.alpha}, {len(GUARDS)} guards, "
        f"{len(policy.steps)} steps: evidence 1 : {math.exp(policy.log_limit):.0f}"
    )
    for line in table(args.rollouts, seed=args.seed, policy=policy):
        print(line, flush=True)


if __name__ == "__main__":
    main()
