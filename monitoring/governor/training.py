"""One training from the decision to its end: begun once, found again after a kill, and what came of it.

An attempt is on disk before the launcher is asked, and what it said before anybody is told. Each of these
acts may be done twice without harm.
"""

from htr.errors import ServiceError
from monitoring.governor.book import Book
from monitoring.governor.champions import Champions
from monitoring.governor.events import Attempt, Champion, Ended, Started, Unconfirmed
from monitoring.governor.parts import Parts
from monitoring.governor.policy import HOUR_S
from monitoring.governor.runs import Found, RefusedError
from monitoring.governor.state import Run

FIRST_RETRY_S, LAST_RETRY_S = 15.0, 600.0


class Training:
    """Carries out what was decided about trainings.

    Args:
        book: what is known.
        parts: among them the launcher, and where corrected lines come from.
        champions: told when a training has ended.
    """

    def __init__(self, book: Book, parts: Parts, champions: Champions) -> None:
        self._book = book
        self._parts = parts
        self._champions = champions

    def carry_on(self) -> None:
        """Do what is due about the training that is in flight, if one is."""
        run = self._book.state.run
        if run is None:
            return
        found = self._parts.runs.find(run.key)
        if not run.run_id and found is None:
            self._begin(run)  # how it goes is looked up at the next turn
        elif not run.run_id and found is not None:
            self._adopt(run, found)
        elif found is None:
            self._end(Ended(key=run.key, result="failed", said="the launcher does not know it any more"))
        if found is not None and found.state != "running":
            self._end(self._outcome(run, found), found)

    def _adopt(self, run: Run, found: Found) -> None:
        said = "found where an earlier start was never confirmed" if run.num_attempts else "found"
        self._book.take(Started(key=run.key, run_id=found.run_id, said=said))

    def _begin(self, run: Run) -> None:
        if run.num_attempts and not self._may_try_again(run):
            return
        if self._book.state.stopped:
            return
        arguments = self._arguments(run)
        self._book.take(Attempt(key=run.key))
        try:
            run_id = self._parts.runs.start(run.key, arguments)
        except RefusedError as error:
            self._end(Ended(key=run.key, result="failed", said=str(error)))
        except ServiceError as error:
            self._book.take(Unconfirmed(key=run.key, said=str(error)))
        else:
            self._book.take(Started(key=run.key, run_id=run_id))

    def _may_try_again(self, run: Run) -> bool:
        """Return whether a start that nobody confirmed is to be tried now; after too long it is given up."""
        policy, at = self._book.policy, self._book.at()
        wait = min(FIRST_RETRY_S * 2.0 ** (run.num_attempts - 1), LAST_RETRY_S)
        if at < run.last_attempt_at + max(wait, policy.settle_s):
            return False
        if at > run.at + policy.give_up_hours * HOUR_S:
            hours = f"{policy.give_up_hours:g} hours"
            said = f"nobody confirmed it within {hours}, {run.num_attempts} attempts"
            self._end(Ended(key=run.key, result="failed", said=said))
            return False
        return True

    def _arguments(self, run: Run) -> dict[str, str]:
        """Return the run's parameters, the corrected lines made ready among them."""
        arguments = {"asked_by": run.key, **self._parts.arguments}
        try:
            dataset = self._parts.labels.dataset(run.key) if self._parts.labels is not None else None
        except Exception as error:
            hours = self._book.policy.give_up_hours
            if self._book.at() > run.at + hours * HOUR_S:
                said = f"no lines for it could be had within {hours:g} hours: {error}"
                self._end(Ended(key=run.key, result="failed", said=said))
            raise  # a trouble in any case
        if dataset is not None:
            arguments.setdefault("corrections", str(dataset))
        return arguments

    def _outcome(self, run: Run, found: Found) -> Ended:
        if found.state == "failed":
            return Ended(key=run.key, result="failed", said=found.said)
        promoted = found.promoted
        if promoted is None and self._parts.registry is not None:
            # A cluster tells how it ended, not what it came to. A champion that somebody else's run brought, or an
            # alias that somebody moved, is nobody's success: the version itself says whose it is.
            champion = self._parts.registry.champion()
            promoted = champion is not None and self._parts.registry.asked_by(champion.version) == run.key
        return Ended(key=run.key, result="promoted" if promoted else "rejected", said=found.said)

    def _end(self, ended: Ended, found: Found | None = None) -> None:
        if self._parts.registry is None and ended.result == "promoted" and found is not None:
            # Before the end is written: afterwards nobody would tell again who is champion.
            self._champions.learn(Champion(version=found.version, digest=found.digest))
        self._book.take(ended)
        self._champions.look_at_once()
