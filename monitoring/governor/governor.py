"""The governor at work: events are taken in and answered, and what was decided is carried out, one turn at a time.

Order is everything here. A decision is on disk before anything is done about it, an attempt before the launcher is
asked, and what the launcher said before anybody is told. Whatever a kill leaves out, the next process finds in the
journal and does: each of these acts may be done twice without harm.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from htr.errors import QuillflowError, ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.clock import GovernedClock
from monitoring.governor.events import (
    Attempt,
    Champion,
    Decision,
    Ended,
    Event,
    Figures,
    Measured,
    PolicySet,
    Record,
    RolledBack,
    Started,
    Switch,
    Tick,
    Unconfirmed,
)
from monitoring.governor.journal import Journal
from monitoring.governor.labels import LabelSource
from monitoring.governor.policy import HOUR_S, Policy
from monitoring.governor.rules import answered, decide, is_watched
from monitoring.governor.runs import Found, RefusedError, Runs
from monitoring.governor.state import Run, State

logger = logging.getLogger(__name__)

STOP = "STOP"
"""The kill switch: a file of this name in the state folder; its text is the reason."""
FIRST_RETRY_S, LAST_RETRY_S = 15.0, 600.0
MOST_SILENT_S = 3600.0
"""After so long without a record, one says that time has passed: the next process counts from the last record, and
by a day at most."""


class Registry(Protocol):
    """Which model serves, and the one act that the governor may do to it."""

    def champion(self) -> Champion | None:
        """Return the champion; None where there is none yet. Raises ServiceError."""

    def registered_at(self, version: str) -> datetime:
        """Return when a version was registered, by the registry's clock. Raises ServiceError."""

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        """Give the alias back to the version before, if it is still where it was; safe to repeat.

        Returns:
            Whether the version before has it now, and what is to be said about it.
        """


class Measures(Protocol):
    """What is measured about the model that serves."""

    def compare(self, champion: Champion, watched_s: float) -> tuple[Figures, Figures]:
        """Return the figures of a new champion and of the one before it. Raises ServiceError."""


class Asker(Protocol):
    """Tells people which lines to correct."""

    def ask(self, request: int, *, champion: str, reason: str, wanted: int) -> None:
        """Open a labelling request; the same again changes nothing. Raises OutputError or DataError."""


@dataclass(kw_only=True)
class Parts:
    """What the governor works with. Only the launcher must be there."""

    runs: Runs
    labels: LabelSource | None = None
    registry: Registry | None = None
    measures: Measures | None = None
    asker: Asker | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Parameters of every pipeline run; ``corrections`` is added."""
    registry_every_s: float = 60.0
    measure_every_s: float = 300.0


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
        self.num_known = 0
        """Events that had been answered before, since this process began."""
        self.troubles: dict[str, str] = {}
        """What does not work now, by the part it is about."""
        self._journal = journal
        self._clock = clock
        self.last_turn_s = self.at()
        """When the last turn ended, on the governor's clock; to begin with, when this process began."""
        self._parts = parts
        self._mutex = threading.RLock()
        self._due: dict[str, float] = {}
        self._has_registry_answered = False
        if journal.state.policy_digest != policy.digest:
            self.take(PolicySet(digest=policy.digest, values=policy.to_dict()))

    @property
    def state(self) -> State:
        """What is known now; to be read under `reading` by other threads."""
        return self._journal.state

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
            if decision.choice == "train" and self._is_blind():
                raise ServiceError("the model registry has not answered yet; send it again in a minute")
            self._write(event, decision)
            return decision

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

    def hint(self) -> None:
        """Have the registry asked at the next turn: somebody says that it changed."""
        self._due.pop("registry", None)

    def _acts(self) -> dict[str, Callable[[], bool | None]]:
        """Return what a turn does, by name; an act that says False had no look, as it was not due."""
        return {
            "kill switch": self._look_at_switch,
            "corrections": self._count_labels,
            "registry": self._look_at_registry,
            "training": self._carry_on_run,
            "watch": self._watch_champion,
            "rollback": self._roll_back,
            "decision": self._decide_again,
            "labelling request": self._ask_for_labels,
        }

    def _look_at_switch(self) -> None:
        file = self._journal.folder / STOP
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

    def _look_at_registry(self) -> bool:
        if self._parts.registry is None:
            return True
        if not self._is_due("registry", self._parts.registry_every_s):
            return False
        self._learn(self._parts.registry.champion())
        self._has_registry_answered = True
        return True

    def _is_blind(self) -> bool:
        """Return whether the champion is not known only because nobody could be asked yet."""
        return self._parts.registry is not None and self.state.champion is None and not self._has_registry_answered

    def _learn(self, champion: Champion | None) -> None:
        known = self.state.champion
        if champion is not None and (known is None or known.digest != champion.digest):
            self.take(champion)

    def _decide_again(self) -> None:
        with self._mutex:
            decision = decide(self.state, Tick(), self.policy, self.at())
            if decision.choice == "train" and self._is_blind():
                return
            decided = decision.choice in {"train", "ask_for_labels"}
            if decided or self.at() >= self.state.at + MOST_SILENT_S:
                self._write(Tick(), decision)
            if not decided:
                return
        self._carry_on_run()

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

    def _carry_on_run(self) -> None:
        run = self.state.run
        if run is None:
            return
        found = self._parts.runs.find(run.key)
        if not run.run_id:
            found = self._begin(run) if found is None else self._adopt(run, found)
        elif found is None:
            self._end(Ended(key=run.key, result="failed", said="the launcher does not know it any more"))
        if found is not None and found.state != "running":
            self._end(self._outcome(run, found), found)

    def _adopt(self, run: Run, found: Found) -> Found:
        said = "found where an earlier start was never confirmed" if run.num_attempts else "found"
        self.take(Started(key=run.key, run_id=found.run_id, said=said))
        return found

    def _begin(self, run: Run) -> Found | None:
        if run.num_attempts:
            wait = min(FIRST_RETRY_S * 2.0 ** (run.num_attempts - 1), LAST_RETRY_S)
            if self.at() < run.last_attempt_at + max(wait, self.policy.settle_s):
                return None
            if self.at() > run.at + self.policy.give_up_hours * HOUR_S:
                hours = f"{self.policy.give_up_hours:g} hours"
                said = f"nobody confirmed it within {hours}, {run.num_attempts} attempts"
                self._end(Ended(key=run.key, result="failed", said=said))
                return None
        if self.state.stopped:
            return None
        arguments = dict(self._parts.arguments)
        try:
            dataset = self._parts.labels.dataset(run.key) if self._parts.labels is not None else None
        except Exception as error:
            if self.at() > run.at + self.policy.give_up_hours * HOUR_S:
                said = f"no lines for it could be had within {self.policy.give_up_hours:g} hours: {error}"
                self._end(Ended(key=run.key, result="failed", said=said))
            raise  # a trouble in any case
        if dataset is not None:
            arguments.setdefault("corrections", str(dataset))
        self.take(Attempt(key=run.key))
        try:
            run_id = self._parts.runs.start(run.key, arguments)
        except RefusedError as error:
            self._end(Ended(key=run.key, result="failed", said=str(error)))
            return None
        except ServiceError as error:
            self.take(Unconfirmed(key=run.key, said=str(error)))
            return None
        self.take(Started(key=run.key, run_id=run_id))
        return None  # how it goes is looked up at the next turn

    def _outcome(self, run: Run, found: Found) -> Ended:
        if found.state == "failed":
            return Ended(key=run.key, result="failed", said=found.said)
        promoted = found.promoted
        # A cluster tells how it ended, not what it came to.
        if promoted is None and self._parts.registry is not None:
            champion = self._parts.registry.champion()
            promoted = champion is not None and champion.digest != run.champion and self._is_new(champion, run)
        return Ended(key=run.key, result="promoted" if promoted else "rejected", said=found.said)

    def _is_new(self, champion: Champion, run: Run) -> bool:
        """Return whether a champion was registered since a run was decided on; an alias may go to older ones."""
        assert self._parts.registry is not None  # noqa: S101 - a fault of ours
        return run.time is not None and self._parts.registry.registered_at(champion.version) >= run.time

    def _end(self, ended: Ended, found: Found | None = None) -> None:
        if self._parts.registry is None and ended.result == "promoted" and found is not None:
            # Before the end is written: afterwards nobody would tell again who is champion.
            self._learn(Champion(version=found.version, digest=found.digest))
        self.take(ended)
        self.hint()
        self._look_at_registry()

    def _watch_champion(self) -> bool:
        watch = self.state.watch
        if self._parts.measures is None or watch is None or not is_watched(self.state, self.policy, self.at()):
            return True
        if self._parts.registry is None:
            return True
        if not self._is_due("watch", self._parts.measure_every_s):
            return False
        now, before = self._parts.measures.compare(watch.champion, self.at() - watch.at)
        measured = Measured(version=watch.champion.version, now=now, before=before)
        with self._mutex:
            decision = decide(self.state, measured, self.policy, self.at())
            if decision.choice == "roll_back":  # a look that changes nothing is no news
                self._write(measured, decision)
        return True

    def _roll_back(self) -> None:
        champion = self.state.rolling
        if champion is None or self._parts.registry is None or self.state.stopped:
            return
        moved, said = self._parts.registry.move_back(champion)
        self.take(RolledBack(version=champion.version, moved=moved, said=said))
        self.hint()
        self._look_at_registry()

    def _is_due(self, name: str, every_s: float) -> bool:
        if self.at() < self._due.get(name, 0.0):
            return False
        self._due[name] = self.at() + every_s
        return True

    def _write(self, event: Event, decision: Decision) -> Record:
        record = self._journal.record(event, decision, clock=self._clock)
        self._journal.write(record)
        logger.info("%d %s: %s: %s", record.seq, event.KIND, decision.choice, decision.reason)
        return record


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # whatever it is, it is there
        return ""
