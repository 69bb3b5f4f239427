"""The governor at work: events are taken in and answered, and what was decided is carried out, one turn at a time.

Order is everything here. A decision is on disk before anything is done about it (`monitoring.governor.book`), an
attempt before the launcher is asked, and what the launcher said before anybody is told (`training`). Whatever a
kill leaves out, the next process finds in the journal and does: each of these acts may be done twice without harm.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from htr.errors import QuillflowError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.book import Book
from monitoring.governor.champions import REGISTRY, Champions
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import Decision, Event, Switch, Tick
from monitoring.governor.journal import Journal
from monitoring.governor.parts import Parts
from monitoring.governor.policy import Policy
from monitoring.governor.state import State
from monitoring.governor.training import Training

logger = logging.getLogger(__name__)

STOP = "STOP"
"""The kill switch: a file of this name in the state folder; its text is the reason."""
MOST_SILENT_S = 3600.0
"""After so long without a record, one says that time has passed: the next process counts from the last record, and
by a day at most."""


class Governor:
    """Takes events from any thread; carries out from one.

    Args:
        journal: opened, and held alone.
        policy: when to train.
        clock: continues the journal's.
        parts: what it works with.
    """

    def __init__(self, journal: Journal, policy: Policy, clock: GovernedClock, parts: Parts) -> None:
        self.policy = policy
        self.troubles: dict[str, str] = {}
        """What does not work now, by the part it is about."""
        self._book = Book(journal, policy, clock)
        self._parts = parts
        self._champions = Champions(self._book, parts)
        self._training = Training(self._book, parts, self._champions)
        self.last_turn_s = self.at()
        """When the last turn ended, on the governor's clock; to begin with, when this process began."""

    @property
    def state(self) -> State:
        """What is known now; to be read under `reading` by other threads."""
        return self._book.state

    @property
    def num_known(self) -> int:
        """Events that had been answered before, since this process began."""
        return self._book.num_known

    def reading(self) -> threading.RLock:
        """Return the lock under which the state does not change."""
        return self._book.reading()

    def at(self) -> float:
        """Return now, on the governor's clock."""
        return self._book.at()

    def take(self, event: Event) -> Decision:
        """Decide on an event; see `Book.take`."""
        return self._book.take(event)

    def hint(self) -> None:
        """Have the registry asked at the next turn: somebody says that it changed."""
        self._book.hurry(REGISTRY)

    def turn(self) -> None:
        """Look around once, and carry out what is due. What fails is logged, and tried again at a later turn."""
        for name, act in self._acts().items():
            try:
                looked = act()
            except (QuillflowError, OSError) as error:
                said = without_user_info(str(error))
                if self.troubles.get(name) != said:  # once, not at every turn
                    logger.warning("%s: %s", name, said)
                self.troubles[name] = said
            except Exception as error:  # a fault of ours in one part must not end the others
                said = without_user_info(f"unexpected: {type(error).__name__}: {error}")
                if self.troubles.get(name) != said:
                    logger.exception("%s", name)
                self.troubles[name] = said
            else:
                if looked is not False:  # else what was said of it holds
                    self.troubles.pop(name, None)
        self.last_turn_s = self.at()

    def _acts(self) -> dict[str, Callable[[], bool | None]]:
        """Return what a turn does, by name; an act that says False had no look, as it was not due."""
        return {
            "kill switch": self._look_at_switch,
            "corrections": self._count_labels,
            "registry": self._champions.look,
            "training": self._training.carry_on,
            "watch": self._champions.watch,
            "rollback": self._champions.roll_back,
            "servers": self._champions.tell_servers,
            "decision": self._decide_again,
            "labelling request": self._ask_for_labels,
        }

    def _look_at_switch(self) -> None:
        file = self._book.folder / STOP
        stopped = file.exists()
        if stopped != self.state.stopped:
            said = _text(file) if stopped else ""
            self.take(Switch(stopped=stopped, said=" ".join(said.split())[:500] or "no reason given"))

    def _count_labels(self) -> None:
        if self._parts.labels is None:
            return
        labels = self._parts.labels.count()
        known = self.state.labels
        if known is None or (labels.count, labels.digest) != (known.count, known.digest):
            self.take(labels)

    def _decide_again(self) -> None:
        is_late = self.at() >= self.state.at + MOST_SILENT_S
        decided = self._book.take_if(Tick(), lambda decision: is_late or _is_done(decision))
        if decided is not None and _is_done(decided):
            self._training.carry_on()

    def _ask_for_labels(self) -> None:
        labelling, champion = self.state.labelling, self.state.champion
        if self._parts.asker is None or labelling is None:
            return
        self._parts.asker.ask(
            labelling.seq,
            champion=champion.digest if champion else "",
            reason=labelling.reason,
            wanted=labelling.wanted,
        )


def _is_done(decision: Decision) -> bool:
    """Return whether something is to be done about a decision."""
    return decision.choice in {"train", "ask_for_labels"}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # whatever it is, it is there
        return ""
