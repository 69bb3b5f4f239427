"""Where the lines of the queue come from: one thing, or several that fill one queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.web.queue import Queue


class Source(Protocol):
    """Fills a queue while the page is in use."""

    @property
    def queue(self) -> Queue:
        """What it fills."""

    @property
    def state(self) -> str:
        """One or two sentences for the person at the page; "" where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Several sources of one queue."""

    queue: Queue
    parts: Sequence[Source]

    @property
    def state(self) -> str:
        """What they say, one after another."""
        return " ".join(part.state for part in self.parts if part.state)
