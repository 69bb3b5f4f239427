"""The guard at work: one step looks, decides, writes it down and carries it out. Doing a step twice is safe.

What is decided is on disk before it is done, and everything that is done says what shall be. So a step that was
killed anywhere is finished by the next one, and a second guard finds the journal locked.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from htr.bundle import short
from htr.errors import ServiceError, SettingsError
from k8s.cluster.release import Route, Servers, Weights, digest_of
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Champion
from monitoring.rollout.counts import Counts, Sample, counted_between
from monitoring.rollout.guards import Pairs, bounds_of, judge
from monitoring.rollout.journal import Journal
from monitoring.rollout.pairs import Compared, PairSource
from monitoring.rollout.policy import Policy
from monitoring.rollout.records import Asked, Choice, Done, Looked, Started
from monitoring.rollout.rules import Seen, decide
from monitoring.rollout.sources import Arm, Source

logger = logging.getLogger(__name__)
ARMS: tuple[Arm, ...] = ("stable", "canary")


class Registry(Protocol):
    """The registered model's aliases."""

    def champion(self) -> Champion | None:
        """Return the champion and the version before it; None where there is none."""

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        """Give the alias back to the version before; return whether it is there, and what to say."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the guard works with."""

    servers: Servers
    route: Route
    source: Source
    pairs: PairSource | None = None
    registry: Registry | None = None
    """Where the champion's alias is moved back with a canary that is taken back; None leaves it alone."""
    writes_stable: bool = True
    """Tell the stable server itself which bundle to serve; False waits until a commit has told it (GitOps)."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One guard over one journal, which it holds alone."""

    journal: Journal
    clock: GovernedClock
    parts: Parts
    say: Callable[[str], None] = field(default=lambda _: None)

    def start(self, policy: Policy, *, again: bool = False) -> bool:
        """Begin to try the bundle that the canary is told to serve.

        Args:
            policy: steps and margins.
            again: also where that bundle has been rolled out before.

        Returns:
            Whether a rollout was begun; where it is under way already, or there is nothing to try, none is.

        Raises:
            SettingsError: another one is under way, or this bundle was tried before.
            ServiceError: Kubernetes is away or refuses.
        """
        state, servers, route = self.journal.state, self.parts.servers, self.parts.route
        stable, canary = servers.model(route.stable), servers.model(route.canary)
        if state.is_active and state.rollout is not None:
            if state.rollout.canary_uri == canary:
                self.say(f"under way already: {state.rollout.id}")
                return False
            raise SettingsError(
                f"rollout {state.rollout.id} is under way, and the canary holds {canary} now; "
                "run `rollout step`, which lets go of it, and start again"
            )
        for name, uri in ((route.stable, stable), (route.canary, canary)):
            if not digest_of(uri):
                raise SettingsError(
                    f"InferenceService {name}: storageUri {uri or 'nothing'} is no immutable bundle address; "
                    "deploy it by digest first (python -m components.deploy)"
                )
        if canary == stable:
            self.say(f"nothing to try: both serve {short(digest_of(stable))}")
            return False
        tried = state.results.get(digest_of(canary))
        if tried is not None and not again:
            raise SettingsError(
                f"{short(digest_of(canary))} was {tried[0].replace('_', ' ')} before ({tried[1]}); "
                "--again tries it anew"
            )
        if policy.shadow and self.parts.pairs is None:
            raise SettingsError(
                "shadow = true wants paired lines: give --probe, or both --stable-log and --canary-log"
            )
        rollout = Started(
            id=f"{short(digest_of(canary))}-{state.num_rollouts + 1}",
            stable_uri=stable,
            canary_uri=canary,
            policy=policy.to_dict(),
        )
        self.journal.write(rollout, self.clock)
        self.say(f"begun: {rollout.id}, {short(digest_of(canary))} beside {short(digest_of(stable))}")
        return True

    def is_untried(self) -> bool:
        """Return whether the canary is told to serve a bundle that is not the stable one's and was never tried.

        Raises:
            ServiceError: Kubernetes is away or refuses.
        """
        servers, route = self.parts.servers, self.parts.route
        stable, canary = servers.model(route.stable), servers.model(route.canary)
        has_both = bool(digest_of(stable) and digest_of(canary))  # neither has before the first deployment
        return has_both and canary != stable and digest_of(canary) not in self.journal.state.results

    def step(self) -> None:
        """Carry out what is pending, look once, and carry out what follows.

        Raises:
            ServiceError: Kubernetes or the registry is away or refuses; the next step tries again.
        """
        if not self.journal.state.is_active:
            self.say(self._standing())
            return
        self._carry_out()
        if self.journal.state.is_active:
            looked = self._look()
            self.journal.write(looked, self.clock)
            self.say(f"{looked.choice.replace('_', ' ')}: {looked.reason}")
            self._carry_out()

    def abort(self, reason: str) -> None:
        """End the rollout and give the stable server its bundle and all traffic back.

        Raises:
            ServiceError: Kubernetes is away or refuses; the next step tries again.
        """
        state = self.journal.state
        if not state.is_active:
            self.say(self._standing())
            return
        # What is pending may be what the person wants to stop; only a way back is not turned into another one.
        if state.pending not in {"roll_back", "abort"}:
            self.journal.write(Asked(reason=reason or "a person asked for it"), self.clock)
        self._carry_out()

    def _standing(self) -> str:
        rollout, state = self.journal.state.rollout, self.journal.state
        if rollout is None:
            return "no rollout"
        result, why = state.results[digest_of(rollout.canary_uri)]
        return f"no rollout under way; {rollout.id} was {result.replace('_', ' ')} ({why})"

    def _carry_out(self) -> None:
        choice = self.journal.state.pending
        if choice is None:
            return
        said = self._do(choice)
        self.journal.write(Done(choice=choice, said=said), self.clock)
        if said:
            self.say(f"done: {said}")

    def _do(self, choice: Choice) -> str:
        """Make it so; everything here may be done twice."""
        state, route, servers = self.journal.state, self.parts.route, self.parts.servers
        rollout = state.rollout
        assert rollout is not None  # noqa: S101 - the fold's promise
        match choice:
            case "advance":
                wanted = state.weights_after_advance
                route.weigh(wanted)
                return f"weights {wanted.stable} : {wanted.canary}" + ", mirrored" * wanted.mirrored
            case "promote":
                route.weigh(Weights(stable=0, canary=100))
                if self.parts.writes_stable:
                    servers.serve(route.stable, rollout.canary_uri)
                    return f"all traffic to the canary; {route.stable} is told to serve {rollout.canary_uri}"
                return f"all traffic to the canary; commit {rollout.canary_uri} for {route.stable}"
            case "finish":
                route.weigh(Weights(stable=100, canary=0))
                return f"promoted: {route.stable} serves {rollout.canary_uri}"
            case "roll_back" | "abort":
                return self._take_back(choice)
        return "let go; nothing was changed"

    def _take_back(self, choice: Choice) -> str:
        state, route, servers = self.journal.state, self.parts.route, self.parts.servers
        rollout = state.rollout
        assert rollout is not None  # noqa: S101
        # While the stable server has its bundle yet, traffic first; else it gets its bundle first.
        if self.parts.writes_stable and servers.model(route.stable) == rollout.canary_uri:
            servers.serve(route.stable, rollout.stable_uri)
        route.weigh(Weights(stable=100, canary=0))
        said = f"all traffic to {route.stable}, which is told to serve {servers.model(route.stable)}"
        if choice == "roll_back" and self.parts.registry is not None:
            champion = self.parts.registry.champion()
            is_ours = champion is not None and champion.digest == f"sha256:{digest_of(rollout.canary_uri)}"
            before = f"sha256:{digest_of(rollout.stable_uri)}"
            if champion is not None and is_ours and champion.previous_digest == before:
                said += f"; {self.parts.registry.move_back(champion)[1]}"
        return said

    def _look(self) -> Looked:
        """See what there is to see, and decide."""
        state = self.journal.state
        rollout, is_new = state.rollout, state.looked is None
        assert rollout is not None  # noqa: S101
        if changed := self._changed():
            return Looked(choice=changed[0], reason=changed[1], cursor=state.cursor)
        stable, blind, stable_heard = self._ask("stable", rollout.stable_uri)
        canary, away, canary_heard = self._ask("canary", rollout.canary_uri)
        unheard = not (stable_heard or canary_heard)
        settled = state.phase == "settling" and self._settled(rollout.canary_uri)
        if not away and state.phase == "waiting" and not self._is_ready("canary", rollout.canary_uri):
            away = "its InferenceService is not ready"
        samples = {"stable": stable, "canary": canary}
        counts: dict[str, Counts] = {}
        for arm in ARMS:
            last = state.samples.get(arm, {})
            since = state.looked.timestamp() if state.looked else 0.0
            # A stage's first look only sets where its counts begin.
            counts[arm] = Counts() if is_new else counted_between(last, samples[arm], since=since)
        pairs = self._pairs(wanted=not away and state.phase == "judging")
        history = sum((Counts(values=one.values) for one in stable.values()), Counts())
        bounds = state.bounds or bounds_of(history)
        sums = {arm: state.counts.get(arm, Counts()) + counts[arm] for arm in ARMS}
        if bounds and not state.bounds:  # the fold begins anew, too
            sums = {arm: Counts() for arm in ARMS}
        total = state.pairs + pairs.pairs
        mirrored = state.weights.mirrored
        found = judge(sums["canary"], sums["stable"], total, bounds, state.policy, shadow=mirrored)
        findings = tuple(found) if state.phase == "judging" else ()
        seen = Seen(
            at=self.clock.at(),
            away=away,
            blind=blind,
            unheard=unheard,
            canary=sums["canary"],
            stable=sums["stable"],
            pairs=total,
            pairs_left=not pairs.is_all,
            findings=findings,
            has_bounds=bool(bounds),
            stable_ready=settled,
        )
        choice, reason = decide(state, seen)
        return Looked(
            choice=choice,
            reason=reason,
            samples=samples,
            counts=counts,
            pairs=pairs.pairs,
            cursor=pairs.cursor,
            bounds=bounds,
            is_away=bool(away) and not unheard,
            findings=findings,
        )

    def _pairs(self, *, wanted: bool) -> Compared:
        state = self.journal.state
        nothing = Compared(pairs=Pairs(), cursor=state.cursor, is_all=self.parts.pairs is None)
        if not wanted or self.parts.pairs is None:
            return nothing
        try:
            return self.parts.pairs.compare(state.cursor, state.policy.probes)
        except ServiceError as error:  # whoever is away is found out by its metrics
            logger.warning("no paired lines: %s", error)
            return nothing

    def _ask(self, arm: Arm, uri: str) -> tuple[dict[str, Sample], str, bool]:
        """Return an arm's samples that are of a bundle, why not all are, and whether anybody answered."""
        try:
            found = self.parts.source.read(arm)
        except ServiceError as error:
            return {}, str(error), False
        serving = {name: one for name, one in found.items() if one.digest == f"sha256:{digest_of(uri)}"}
        return serving, _serves_else(found, uri), True

    def _changed(self) -> tuple[Choice, str] | None:
        """Say what somebody else has changed that is ours to change, and what follows; None where nothing."""
        state, route, servers = self.journal.state, self.parts.route, self.parts.servers
        rollout = state.rollout
        assert rollout is not None  # noqa: S101
        if (now := servers.model(route.canary)) != rollout.canary_uri:
            # A bundle that nobody judged must not keep its share of the traffic.
            return "abort", f"somebody else has told {route.canary} to serve {now or 'nothing'}"
        ours = {rollout.stable_uri} | ({rollout.canary_uri} if state.phase == "settling" else set())
        if (now := servers.model(route.stable)) not in ours:
            return "let_go", f"somebody else has told {route.stable} to serve {now or 'nothing'}"
        found = route.weights()
        if state.phase != "waiting" and found != state.weights:
            return "let_go", f"somebody else has set the weights to {found.stable} : {found.canary}"
        return None

    def _is_ready(self, arm: Arm, uri: str) -> bool:
        route = self.parts.route
        return self.parts.servers.is_ready(route.stable if arm == "stable" else route.canary, uri)

    def _settled(self, uri: str) -> bool:
        return self._is_ready("stable", uri) and not self._ask("stable", uri)[1]


def _serves_else(samples: dict[str, Sample], uri: str) -> str:
    """Say what an arm's processes serve instead of a bundle, "" where all serve it."""
    if not samples:
        return "nobody answers for it"
    others = sorted({one.digest for one in samples.values()} - {f"sha256:{digest_of(uri)}"})
    return f"it serves {', '.join(short(one) for one in others)}, not {short(digest_of(uri))}" if others else ""
