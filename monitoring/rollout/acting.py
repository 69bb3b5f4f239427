"""What a choice asks for, done on the cluster and in the registry. Everything here may be done twice."""

from dataclasses import dataclass

from k8s.cluster.release import Weights, digest_of
from monitoring.rollout.parts import Parts
from monitoring.rollout.records import Choice, Started
from monitoring.rollout.state import State


@dataclass(frozen=True, kw_only=True)
class Act:
    """Carries out choices about a rollout that is under way."""

    state: State
    parts: Parts

    def do(self, choice: Choice) -> str:
        """Make it so; return what was done, for people.

        Raises:
            ServiceError: Kubernetes or the registry is away or refuses; done again, it goes on.
        """
        state, route, servers, rollout = self.state, self.parts.route, self.parts.servers, self._rollout
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
        route, servers, rollout = self.parts.route, self.parts.servers, self._rollout
        # While the stable server has its bundle yet, traffic first; else it gets its bundle first.
        if self.parts.writes_stable and servers.model(route.stable) == rollout.canary_uri:
            servers.serve(route.stable, rollout.stable_uri)
        route.weigh(Weights(stable=100, canary=0))
        told = servers.model(route.stable)
        said = f"all traffic to {route.stable}, which is told to serve {told}"
        if told == rollout.canary_uri:  # whoever told it must take it back
            said += f"; commit {rollout.stable_uri} for it"
        if choice == "roll_back" and self.parts.registry is not None:
            champion = self.parts.registry.champion()
            is_ours = champion is not None and champion.digest == f"sha256:{digest_of(rollout.canary_uri)}"
            before = f"sha256:{digest_of(rollout.stable_uri)}"
            if champion is not None and is_ours and champion.previous_digest == before:
                said += f"; {self.parts.registry.move_back(champion)[1]}"
        return said

    @property
    def _rollout(self) -> Started:
        assert self.state.rollout is not None  # noqa: S101 - the fold's promise
        return self.state.rollout
