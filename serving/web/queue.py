"""Lines that wait for a person: which one is next, and which somebody else has before him now."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from htr.choosing import Why, choose, is_control
from serving.web.likeness import SIZE, likeness
from serving.web.reading import SeenLine

ROUND = 50
"""Lines that are chosen at a time: of the unsure ones among what is left."""
LEASE_S = 1800.0
"""Seconds for which a line that somebody was shown is shown to nobody else, and not to him again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One line that a person is asked to look at."""

    line: SeenLine
    why: Why

    @property
    def chosen_by(self) -> str:
        """What its correction says: only controls are a sample (docs/decisions/0013)."""
        return "sample" if self.why == "control" else "reading"


@dataclass(slots=True)
class Queue:
    """Hands out lines, each to one person at a time; safe between threads.

    Args:
        control_share: share of lines that are shown whatever was read on them, 0..1.
        seed: draws these.
        clock: seconds, never going back.
    """

    control_share: float
    seed: int
    clock: Callable[[], float]
    _lines: dict[str, SeenLine] = field(default_factory=dict)
    _vectors: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    _turns: dict[str, Why] = field(default_factory=dict)
    _asked: dict[str, Why] = field(default_factory=dict)
    """Lines that somebody asked for by name, and why."""
    _busy_until: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, lines: Iterable[SeenLine]) -> None:
        """Let lines wait; one whose image is here already takes the other's place.

        Raises:
            ImageError: the image of one cannot be decoded.
        """
        found = {key_of(line): line for line in lines}
        vectors = {key: likeness(line.seen.image, line.text) for key, line in found.items()}
        with self._lock:
            self._lines |= found
            self._vectors |= vectors

    def ask(self, lines: Iterable[tuple[SeenLine, Why]]) -> None:
        """Let lines wait that are asked for by name: before all others, in their order, each for the reason given.

        Raises:
            ImageError: the image of one cannot be decoded.
        """
        reasons = {key_of(line): (line, why) for line, why in lines}
        self.add(line for line, _ in reasons.values())
        with self._lock:
            asked = {key: why for key, (_, why) in reasons.items()}
            self._asked |= asked
            waiting = {key: why for key, why in self._turns.items() if key in self._asked}
            others = {key: why for key, why in self._turns.items() if key not in self._asked}
            self._turns = {**waiting, **asked, **others}

    def forget_asked(self) -> None:
        """Take out what was asked for by name; what a person has before him he can still send."""
        with self._lock:
            for key in self._asked:
                for kept in (self._lines, self._vectors, self._turns, self._busy_until):
                    kept.pop(key, None)
            self._asked.clear()

    def take(self) -> Turn | None:
        """Return the next line that nobody has before him; None where there is none."""
        now = self.clock()
        with self._lock:
            key = self._free(now)
            if key is None:
                self._plan(now)
                key = self._free(now)
            if key is None:
                return None
            self._busy_until[key] = now + LEASE_S
            return Turn(line=self._lines[key], why=self._turns[key])

    def done(self, line: SeenLine) -> None:
        """Take a line out for good; what is not here is let be."""
        key = key_of(line)
        with self._lock:
            for kept in (self._lines, self._vectors, self._turns, self._busy_until):
                kept.pop(key, None)

    def is_control(self, key: str) -> bool:
        """Return whether a line of some key is, or would be, shown whatever was read on it."""
        if (why := self._asked.get(key)) is not None:
            return why == "control"
        return is_control(key, control_share=self.control_share, seed=self.seed)

    def __len__(self) -> int:
        """Return how many lines wait, those that somebody has before him included."""
        return len(self._lines)

    def _free(self, now: float) -> str | None:
        return next((key for key in self._turns if self._busy_until.get(key, now) <= now), None)

    def _plan(self, now: float) -> None:
        """Choose a round of what is free."""
        keys = [key for key in self._lines if self._busy_until.get(key, now) <= now]
        chosen = choose(
            [self._lines[key].confidence for key in keys],
            np.array([self._vectors[key] for key in keys]).reshape(len(keys), SIZE),
            count=ROUND,
            control_share=self.control_share,
            seed=self.seed,
            names=keys,
        )
        self._turns |= {keys[one.index]: one.why for one in chosen}


def key_of(line: SeenLine) -> str:
    """Return what a line goes by: the digest of its image, as corrections name it."""
    return "sha256:" + hashlib.sha256(line.seen.image).hexdigest()
