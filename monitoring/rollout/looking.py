"""One look at a rollout: what others have changed, what both arms counted, what follows. It changes nothing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from htr.bundle import short
from htr.errors import ServiceError
from k8s.cluster.release import digest_of
from monitoring.rollout.counts import Counts, Sample, counted_between
from monitoring.rollout.guards import Pairs, bounds_of, judge
from monitoring.rollout.pairs import Compared
from monitoring.rollout.parts import Parts
from monitoring.rollout.records import Choice, Looked, Started
from monitoring.rollout.rules import Seen, decide
from monitoring.rollout.sources import Arm
from monitoring.rollout.state import State

logger = logging.getLogger(__name__)
ARMS: tuple[Arm, ...] = ("stable", "canary")


@dataclass(frozen=True, kw_only=True)
class Look:
    """Looks once."""

    state: State
    """Of a rollout that is under way."""
    parts: Parts
    at: float
    """Now, on the rollout's clock."""

    def take(self) -> Looked:
        """See what there is to see, and decide.

        Raises:
            ServiceError: Kubernetes is away or refuses.
        """
        state, rollout = self.state, self._rollout
        if changed := self._changed():
            return Looked(choice=changed[0], reason=changed[1], cursor=state.cursor)
        stable, blind, stable_heard = self._ask("stable", rollout.stable_uri)
        canary, away, canary_heard = self._ask("canary", rollout.canary_uri)
        unheard = not (stable_heard or canary_heard)
        settled = state.phase == "settling" and self._settled(rollout.canary_uri)
        if not away and state.phase == "waiting" and not self._is_ready("canary", rollout.canary_uri):
            away = "its InferenceService is not ready"
        samples = {"stable": stable, "canary": canary}
        counts = self._counted(samples)
        pairs = self._pairs(wanted=not away and state.phase == "judging")
        history = sum((Counts(values=one.values) for one in stable.values()), Counts())
        bounds = state.bounds or bounds_of(history)
        sums = {arm: state.counts.get(arm, Counts()) + counts[arm] for arm in ARMS}
        if bounds and not state.bounds:  # the fold begins anew, too
            sums = {arm: Counts() for arm in ARMS}
        total, mirrored = state.pairs + pairs.pairs, state.weights.mirrored
        found = judge(sums["canary"], sums["stable"], total, bounds, state.policy, shadow=mirrored)
        findings = tuple(found) if state.phase == "judging" else ()
        seen = Seen(
            at=self.at,
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

    @property
    def _rollout(self) -> Started:
        assert self.state.rollout is not None  # noqa: S101 - the fold's promise
        return self.state.rollout

    def _changed(self) -> tuple[Choice, str] | None:
        """Say what somebody else has changed that is ours to change, and what follows; None where nothing."""
        state, rollout = self.state, self._rollout
        route, servers = self.parts.route, self.parts.servers
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

    def _ask(self, arm: Arm, uri: str) -> tuple[dict[str, Sample], str, bool]:
        """Return samples of the processes that serve a bundle, why not all do, and whether anybody answered."""
        try:
            found = self.parts.source.read(arm)
        except ServiceError as error:
            return {}, str(error), False
        serving = {name: one for name, one in found.items() if one.digest == f"sha256:{digest_of(uri)}"}
        return serving, _serves_else(found, uri), True

    def _counted(self, samples: Mapping[str, Mapping[str, Sample]]) -> dict[str, Counts]:
        state = self.state
        if state.looked is None:  # a stage's first look only sets where its counts begin
            return {arm: Counts() for arm in ARMS}
        since = state.looked.timestamp()
        return {arm: counted_between(state.samples.get(arm, {}), samples[arm], since=since) for arm in ARMS}

    def _pairs(self, *, wanted: bool) -> Compared:
        state = self.state
        nothing = Compared(pairs=Pairs(), cursor=state.cursor, is_all=self.parts.pairs is None)
        if not wanted or self.parts.pairs is None:
            return nothing
        try:
            return self.parts.pairs.compare(state.cursor, state.policy.probes)
        except ServiceError as error:  # whoever is away is found out by its metrics
            logger.warning("no paired lines: %s", error)
            return nothing

    def _is_ready(self, arm: Arm, uri: str) -> bool:
        route = self.parts.route
        return self.parts.servers.is_ready(route.stable if arm == "stable" else route.canary, uri)

    def _settled(self, uri: str) -> bool:
        return self._is_ready("stable", uri) and not self._ask("stable", uri)[1]


def _serves_else(samples: Mapping[str, Sample], uri: str) -> str:
    """Say what an arm's processes serve instead of a bundle, "" where all serve it."""
    if not samples:
        return "nobody answers for it"
    others = sorted({one.digest for one in samples.values()} - {f"sha256:{digest_of(uri)}"})
    return f"it serves {', '.join(short(one) for one in others)}, not {short(digest_of(uri))}" if others else ""
