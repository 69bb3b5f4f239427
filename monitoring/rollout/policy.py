"""The rollout's policy: a small TOML file with the steps and the guards' margins. What is left out has a default.

version = 1
steps = [5, 25, 50]

[margins]
doubt = 0.05
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from monitoring.toml_policy import check, policy_of, read_toml, typed

VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """By how much the canary may be worse before it is taken back; shares are absolute, 0..1.

    Raises:
        ValueError: a value makes no sense; the text names it.
    """

    failures: float = 0.01
    """Share of requests to read that failed inside."""
    shed: float = 0.02
    """Share of requests that were turned away because the server was busy (429, 503)."""
    latency_p95: float = 0.05
    """Share of requests slower than what 95 % of the stable server's stayed below when the stage began."""
    latency_p99: float = 0.02
    """The same of 99 %."""
    doubt: float = 0.05
    """Share of readings that the model itself doubts: confidence below one half."""
    empty: float = 0.02
    """Share of readings without any text."""
    verdicts: float = 0.05
    """Share of images with another verdict than ``ok``."""
    disagreement: float = 0.30
    """Share of paired lines on which both read another text: a limit, not a difference."""
    losses: float = 0.10
    """On paired lines that only one of both read right: how much more than half may be the stable server's."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if not 0 <= value < 1:
                raise ValueError(f"margins.{spec.name}: expected 0 or more and less than 1, found {value!r}")


GUARDS = tuple(spec.name for spec in fields(Margins))


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When the canary gets more, and when it is taken back.

    Raises:
        ValueError: a value makes no sense; the text names it.
    """

    steps: tuple[int, ...] = (5, 25, 50)
    """The canary's shares of the traffic in percent at which it is compared; after the last come all 100."""
    shadow: bool = False
    """A stage before the first step: it gets copies of all requests; judged by ``disagreement``."""
    alpha: float = 0.05
    """Chance at most that a rollout of a bundle that is not worse by more than the margins is taken back."""
    min_requests: int = 300
    """Requests of the canary's that a step wants before the next one."""
    min_minutes: float = 10.0
    """How long a step lasts at least."""
    give_up_hours: float = 24.0
    """A step that has not come to an end by then ends the rollout."""
    away_steps: int = 3
    """So many looks in a row at which the canary does not answer, or serves another bundle, take it back."""
    lines_together: float = 0.0
    """Lines of a request hang together; so many count as one. 0: as many as a request has on average."""
    probes: int = 50
    """Paired lines that are sent to both at every look, where there is a dataset of them."""
    margins: Margins = field(default_factory=Margins)

    def __post_init__(self) -> None:
        rising = all(0 < a < b < 100 for a, b in zip(self.steps, (*self.steps[1:], 99.5), strict=True))
        check(bool(self.steps) and rising, "steps", "rising whole numbers from 1 to 99", list(self.steps))
        check(0 < self.alpha < 1, "alpha", "more than 0 and less than 1", self.alpha)
        check(self.min_requests >= 1, "min_requests", "1 or more", self.min_requests)
        check(self.min_minutes >= 0, "min_minutes", "0 or more", self.min_minutes)
        check(
            self.give_up_hours * 60 > self.min_minutes,
            "give_up_hours",
            "more than min_minutes",
            self.give_up_hours,
        )
        check(self.away_steps >= 1, "away_steps", "1 or more", self.away_steps)
        together = self.lines_together
        check(together == 0 or (1 <= together < math.inf), "lines_together", "0, or 1 or more", together)
        check(self.probes >= 1, "probes", "1 or more", self.probes)

    @property
    def log_limit(self) -> float:
        """Logarithm of the evidence at which a guard takes the canary back: guards and stages share alpha."""
        stages = len(self.steps) + self.shadow
        return math.log(len(GUARDS) * stages / self.alpha)

    def to_dict(self) -> dict[str, Any]:
        """Return what a policy file would hold."""
        return {"version": VERSION, **asdict(self), "steps": list(self.steps)}


def read_policy(file: Path | None) -> Policy:
    """Read a policy file; None gives the default policy.

    Raises:
        SettingsError: missing, no TOML, of another version, or with a name or value that is not known.
    """
    return Policy() if file is None else policy_from(read_toml(file), where=str(file))


def policy_from(values: Mapping[str, Any], *, where: str) -> Policy:
    """Return the policy that a file's values stand for; whatever is left out has its default.

    Raises:
        SettingsError: see `read_policy`; ``where`` is the file that the message names.
    """
    return policy_of(values, _made, version=VERSION, where=where)


def _made(given: dict[str, Any]) -> Policy:
    if "margins" in given:
        given["margins"] = Margins(**typed(Margins(), given["margins"], "margins."))
    return Policy(**typed(Policy(), given))
