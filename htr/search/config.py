"""How to search, and who is told of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from htr.errors import SettingsError
from htr.search.space import SPACE, Dimension
from htr.search.trial import Trial
from htr.settings import nested
from htr.train import Progress

PRUNERS = ("median", "hyperband", "none")
MAX_SEED = 2**31
"""The greatest that a training takes, and every trial trains with the search's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """How to search."""

    trials: int
    """How many there shall be in the end; a search is continued with a greater number."""
    max_lines: int
    """Lines shown to the network in a trial that comes to its end."""
    seed: int = 1
    """Of the search, and of every training in it."""
    pruner: str = "median"
    """Stops weak trials: ``median`` (of earlier ones at an epoch), ``hyperband`` (Li et al. 2018) or ``none``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Nested training settings that every trial shares; what they name is not searched."""
    space: tuple[Dimension, ...] = SPACE
    """What is searched, but for what is named above."""

    def __post_init__(self) -> None:
        if not 1 <= self.trials <= 10_000:
            raise SettingsError(f"search: trials must be within 1..10000, got {self.trials!r}")
        if not 0 <= self.seed <= MAX_SEED:
            raise SettingsError(f"search: seed must be within 0..{MAX_SEED}, got {self.seed!r}")
        if self.pruner not in PRUNERS:
            raise SettingsError(f"search: pruner must be one of {', '.join(PRUNERS)}, got {self.pruner!r}")

    def complete(self, sampled: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a trial, nested: what all share, what was sampled, seed and budget."""
        settings = json.loads(json.dumps(self.settings))
        for name, value in nested(sampled).items():
            settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
        return {**settings, "max_lines": self.max_lines, "seed": self.seed}


class Watcher(Protocol):
    """Is told of every trial: what shows progress, or records the trials elsewhere."""

    def trial_begins(self, trial: Trial) -> None:
        """Take note of a trial that begins, or goes on after a kill with the epochs in its history."""

    def trial_trains(self, trial: Trial, progress: Progress) -> None:
        """Take note of training progress, and at an epoch's end of its metrics."""

    def trial_ends(self, trial: Trial) -> None:
        """Take note of what came of a trial."""
