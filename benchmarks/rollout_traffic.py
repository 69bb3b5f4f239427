"""Invented servers: how often each counted thing happens in, counters as a server's metrics hold them out."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from monitoring.rollout.counts import Sample

BUCKETS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_MEDIAN_S, _SPREAD = 0.06, 0.6
_STUCK = 30.0


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a server is like."""

    failures: float = 0.002
    """Share of requests that fail inside."""
    shed: float = 0.0
    """Share of requests that are turned away."""
    slower: float = 1.0
    """Factor on every latency; the plain server's are log-normal around 60 ms."""
    stuck: float = 0.0
    """Share of the requests that take thirty times as long."""
    doubt: float = 0.10
    empty: float = 0.005
    remarked: float = 0.05
    lines: int = 1
    """Lines of a request."""
    together: bool = False
    """All lines of a request are alike."""

    @cached_property
    def buckets(self) -> list[float]:
        """Chance of each bucket of the latency histogram, the last one without an end."""

        def below(seconds: float) -> float:
            return 0.5 * (1 + math.erf(math.log(seconds / (_MEDIAN_S * self.slower)) / (_SPREAD * math.sqrt(2))))

        below_all = [(1 - self.stuck) * below(le) + self.stuck * below(le / _STUCK) for le in BUCKETS]
        return [now - before for before, now in zip([0.0, *below_all], [*below_all, 1.0], strict=True)]


@dataclass
class Server:
    """One process and its counters."""

    digest: str
    traits: Traits = field(default_factory=Traits)
    start: float = 1000.0
    values: dict[str, float] = field(default_factory=dict)
    down: bool = False

    def take(self, requests: int, rng: np.random.Generator) -> None:
        """Answer so many requests."""
        t = self.traits
        shed = int(rng.binomial(requests, t.shed))
        failed = int(rng.binomial(requests - shed, t.failures))
        read = requests - shed - failed
        draws, each = (read, t.lines) if t.together else (read * t.lines, 1)
        grown: dict[str, float] = {"shed": shed, "failed": failed, "read": read}
        grown |= {"readings": read * t.lines, "images": read * t.lines}
        for name, rate in (("doubtful", t.doubt), ("empty", t.empty), ("remarked", t.remarked)):
            grown[name] = int(rng.binomial(draws, rate)) * each
        within = np.cumsum(rng.multinomial(read + failed, t.buckets))
        for le, value in zip((*map(str, BUCKETS), "+Inf"), within, strict=True):
            grown[f"within {le}"] = int(value)
        for name, value in grown.items():
            self.values[name] = self.values.get(name, 0.0) + value

    def sample(self) -> Sample:
        """Return what its metrics say."""
        return Sample(start=self.start, digest=self.digest, values=dict(self.values))
