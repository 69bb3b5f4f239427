"""The guard at work: one step looks, decides, writes it down and carries it out. Doing a step twice is safe.

What is decided is on disk before it is done, and everything that is done says what shall be. So a step that was
killed anywhere is finished by the next one, and a second guard finds the journal locked. Nothing goes on to more
traffic, a decision of before a kill included, unless the registry calls the canary's bundle champion.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from htr.bundle import short
from htr.errors import ServiceError, SettingsError
from k8s.cluster.release import digest_of
from monitoring.governor.clock import GovernedClock
from monitoring.rollout.acting import Act
from monitoring.rollout.journal import Journal
from monitoring.rollout.looking import Look
from monitoring.rollout.parts import Parts
from monitoring.rollout.policy import Policy
from monitoring.rollout.records import Asked, Choice, Done, Looked, Started
from monitoring.rollout.standing import Standing, standing_of

GOES_ON: frozenset[Choice] = frozenset({"advance", "promote", "finish"})
GOES_BACK: frozenset[Choice] = frozenset({"roll_back", "abort"})


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
            again: also where that bundle has been rolled out, or taken back, before.

        Returns:
            Whether a rollout was begun; where it is under way already, or there is nothing to try, none is.

        Raises:
            SettingsError: another one is under way, this bundle was tried before, or it is not champion.
            ServiceError: Kubernetes or the registry is away or refuses.
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
        self._check_standing(canary, again=again)
        if policy.shadow and self.parts.pairs is None:
            raise SettingsError(
                "shadow = true wants paired lines: give --probe, or both --stable-log and --canary-log"
            )
        rollout = Started(
            id=f"{short(digest_of(canary))}-{state.num_rollouts + 1}",
            stable_uri=stable,
            canary_uri=canary,
            policy=policy.to_dict(),
            again=again,
        )
        self.journal.write(rollout, self.clock)
        self.say(f"begun: {rollout.id}, {short(digest_of(canary))} beside {short(digest_of(stable))}")
        return True

    def is_untried(self) -> bool:
        """Return whether the canary is told to serve a champion that is not the stable one's and was never tried.

        Raises:
            ServiceError: Kubernetes is away or refuses.
        """
        servers, route = self.parts.servers, self.parts.route
        stable, canary = servers.model(route.stable), servers.model(route.canary)
        has_both = bool(digest_of(stable) and digest_of(canary))  # neither has before the first deployment
        if not has_both or canary == stable or digest_of(canary) in self.journal.state.results:
            return False
        standing = standing_of(self.parts.registry, canary)
        if said := standing.lost or standing.unknown:
            self.say(f"not begun: {said}")
        return not said

    def step(self) -> None:
        """Carry out what is pending, look once, and carry out what follows.

        Raises:
            ServiceError: Kubernetes or the registry is away or refuses; the next step tries again.
        """
        state = self.journal.state
        if not state.is_active:
            self.say(self._told())
            return
        standing = self._standing()
        if standing.lost and state.pending not in GOES_BACK:
            self._decide(Looked(choice=standing.choice, reason=standing.lost, cursor=state.cursor))
            return
        if standing.unknown and state.pending in GOES_ON:
            self.say(f"hold: {state.pending} is decided, but {standing.unknown}")
            return
        self._carry_out()
        if self.journal.state.is_active:
            looked = Look(state=self.journal.state, parts=self.parts, at=self.clock.at()).take()
            if standing.unknown and looked.choice in GOES_ON:
                looked = replace(looked, choice="hold", reason=f"{looked.reason}; but {standing.unknown}")
            self._decide(looked)

    def abort(self, reason: str) -> None:
        """End the rollout and give the stable server its bundle and all traffic back.

        Raises:
            ServiceError: Kubernetes is away or refuses; the next step tries again.
        """
        state = self.journal.state
        if not state.is_active:
            self.say(self._told())
            return
        # What is pending may be what the person wants to stop; only a way back is not turned into another one.
        if state.pending not in GOES_BACK:
            self.journal.write(Asked(reason=reason or "a person asked for it"), self.clock)
        self._carry_out()

    def _standing(self) -> Standing:
        rollout = self.journal.state.rollout
        assert rollout is not None  # noqa: S101 - one is under way
        return standing_of(self.parts.registry, rollout.canary_uri, again=rollout.again)

    def _check_standing(self, uri: str, *, again: bool) -> None:
        standing = standing_of(self.parts.registry, uri, again=again)
        if standing.unknown:
            raise ServiceError(f"{short(digest_of(uri))}: {standing.unknown}; try again")
        if standing.lost:
            raise SettingsError(
                f"{standing.lost}; deploy the champion, or make this one champion and give --again "
                "(--tracking-uri '' asks no registry)"
            )

    def _told(self) -> str:
        rollout, state = self.journal.state.rollout, self.journal.state
        if rollout is None:
            return "no rollout"
        result, why = state.results[digest_of(rollout.canary_uri)]
        return f"no rollout under way; {rollout.id} was {result.replace('_', ' ')} ({why})"

    def _decide(self, looked: Looked) -> None:
        """Write down what was seen and decided, and do it."""
        self.journal.write(looked, self.clock)
        self.say(f"{looked.choice.replace('_', ' ')}: {looked.reason}")
        self._carry_out()

    def _carry_out(self) -> None:
        choice = self.journal.state.pending
        if choice is None:
            return
        said = Act(state=self.journal.state, parts=self.parts).do(choice)
        self.journal.write(Done(choice=choice, said=said), self.clock)
        if said:
            self.say(f"done: {said}")
