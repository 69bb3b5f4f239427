"""Events in, decisions on disk out: journal, policy and clock together. Safe between threads.

A decision is on disk before anything is done about it, so that whatever a kill leaves out, the next process finds
in the journal and does.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from htr.errors import ServiceError
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Decision, Event, PolicySet, Record
from monitoring.governor.journal import Journal
from monitoring.governor.policy import Policy
from monitoring.governor.rules import answered, decide
from monitoring.governor.state import State

logger = logging.getLogger(__name__)


class Book:
    """What is known, and the one way to add to it.

    Args:
        journal: opened, and held alone.
        policy: when to train.
        clock: continues the journal's.
    """

    def __init__(self, journal: Journal, policy: Policy, clock: GovernedClock) -> None:
        self.policy = policy
        self.num_known = 0
        """Events that had been answered before, since this process began."""
        self.is_blind: Callable[[], bool] = lambda: False
        """Whether the champion is not known only because nobody could be asked yet."""
        self._journal = journal
        self._clock = clock
        self._mutex = threading.RLock()
        self._due: dict[str, float] = {}
        if journal.state.policy_digest != policy.digest:
            self.take(PolicySet(digest=policy.digest, values=policy.to_dict()))

    @property
    def state(self) -> State:
        """What is known now; to be read under `reading` by other threads."""
        return self._journal.state

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._journal.folder

    def reading(self) -> threading.RLock:
        """Return the lock under which the state does not change."""
        return self._mutex

    def at(self) -> float:
        """Return now, on the governor's clock."""
        return max(self._clock.at(), self.state.at)

    def take(self, event: Event) -> Decision:
        """Decide on an event; when this returns, it and the decision are on disk.

        Raises:
            OutputError: they cannot be written; then nothing was decided.
            ServiceError: a training would be decided on, and nobody knows yet which model it is to replace; then
                nothing was decided either.
        """
        with self._mutex:
            known = answered(self.state, event) is not None
            decision = decide(self.state, event, self.policy, self.at())
            if known:  # told a thousand times, it is still one record
                self.num_known += 1
                return decision
            if decision.choice == "train" and self.is_blind():
                raise ServiceError("the model registry has not answered yet; send it again in a minute")
            self._write(event, decision)
            return decision

    def take_if(self, event: Event, wanted: Callable[[Decision], bool]) -> Decision | None:
        """Decide on an event that is no news unless something comes of it.

        Args:
            event: what happens.
            wanted: says of the decision whether it is to be written down.

        Returns:
            The decision that was written; None where it was not, or where nobody knows which model to replace.
        """
        with self._mutex:
            decision = decide(self.state, event, self.policy, self.at())
            if not wanted(decision) or (decision.choice == "train" and self.is_blind()):
                return None
            self._write(event, decision)
            return decision

    def is_due(self, name: str, every_s: float) -> bool:
        """Return whether something that is done every so often is due; it then counts as done."""
        if self.at() < self._due.get(name, 0.0):
            return False
        self._due[name] = self.at() + every_s
        return True

    def hurry(self, name: str) -> None:
        """Make it due at once."""
        self._due.pop(name, None)

    def _write(self, event: Event, decision: Decision) -> Record:
        record = self._journal.record(event, decision, clock=self._clock)
        self._journal.write(record)
        logger.info("%d %s: %s: %s", record.seq, event.KIND, decision.choice, decision.reason)
        return record
