"""Which requests a proxy spoils, and how: from a seed, until it is told that the bad time is over."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from htr.errors import QuillflowError

T = TypeVar("T")


class Fate:
    """Spoils requests, as `tests.faults.lying.Lie` says.

    One fault strikes a request within the first few, and the next ones for a while; later others strike here and
    there.

    Args:
        rng: decides.
        fault: what this round is about.
        others: what strikes here and there as well.
        within: the request that is struck first is one of so many.
    """

    def __init__(self, rng: random.Random, fault: str, others: Sequence[str], *, within: int) -> None:
        self.fault = fault
        self.first, self.length = rng.randint(1, within), rng.choice((1, 1, 2, 5))
        self.struck: Counter[str] = Counter()
        self.errors: list[str] = []
        """What was told of it, in our own words."""
        self.wrong: list[str] = []
        """What came through as something else than an error of ours."""
        self.is_over = False
        self._rng, self._others = random.Random(rng.random()), others
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str, number: int) -> str:
        with self._lock:
            if self.is_over:
                return ""
            how = self.fault if self.first <= number < self.first + self.length else ""
            if not how and number > self.first and self._rng.random() < 0.04:
                how = self._rng.choice(self._others)
            self.struck.update([how] if how else [])
            return how

    @property
    def place(self) -> str:
        """Where it struck, for people."""
        more = sum(self.struck.values()) - self.struck[self.fault]
        return f"requests {self.first} to {self.first + self.length - 1}, {more} others later"

    def retried(self, act: Callable[[], T], tries: int = 8) -> T:
        """Do something as a pipeline does: again when it failed by what is away; the last time in peace.

        Raises:
            QuillflowError: it does not work in peace either.
        """
        for _ in range(tries):
            try:
                return act()
            except QuillflowError as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            except Exception as error:
                self.wrong.append(f"{self.fault} came through as {type(error).__name__}: {error}")
        self.is_over = True
        return act()
