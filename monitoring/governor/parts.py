"""What the governor works with: each a part that somebody else is, and that a test can be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from monitoring.governor.events import Champion, Figures
from monitoring.governor.labels import LabelSource
from monitoring.governor.runs import Runs


class Registry(Protocol):
    """Which model serves, and the one act that the governor may do to it."""

    def champion(self) -> Champion | None:
        """Return the champion; None where there is none yet. Raises ServiceError."""

    def asked_by(self, version: str) -> str:
        """Return the key of the training that brought a version; "" where none of ours did; or ServiceError."""

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


class Servers(Protocol):
    """Servers that were told a bundle by its digest, and follow no alias."""

    def go_back(self, champion: Champion) -> str:
        """Tell those that were told a champion's bundle the one before it; safe to repeat.

        Returns:
            What was done, for people.

        Raises:
            QuillflowError: they cannot be told; a later try may.
        """


@dataclass(kw_only=True)
class Parts:
    """All of them. Only the launcher must be there."""

    runs: Runs
    labels: LabelSource | None = None
    registry: Registry | None = None
    servers: Servers | None = None
    """None: servers follow the alias by themselves."""
    measures: Measures | None = None
    asker: Asker | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Parameters of every pipeline run; ``corrections`` and ``asked_by`` are added."""
    registry_every_s: float = 60.0
    measure_every_s: float = 300.0
