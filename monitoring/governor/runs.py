"""What the governor asks of whatever runs the training pipeline. Both verbs are safe to repeat.

A run goes by a key that the governor chose. ``find`` looks whether there is a run of that key; ``start`` is called
only where there is none, and again only after ``find`` has still found none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from htr.errors import ServiceError


class RefusedError(ServiceError):
    """The launcher said no: there is no run, and asking again would not help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What is known of a run."""

    run_id: str
    state: Literal["running", "succeeded", "failed"]
    promoted: bool | None = None
    """Of one that succeeded: whether its challenger became champion; None where only the registry knows."""
    version: str = ""
    """Of the challenger, where ``promoted`` is known."""
    digest: str = ""
    """Of the challenger's bundle, where ``promoted`` is known."""
    said: str = ""


class Runs(Protocol):
    """Runs the training pipeline."""

    def find(self, key: str) -> Found | None:
        """Return what is known of the run of a key; None where there is none.

        Raises:
            ServiceError: nobody answers.
        """

    def start(self, key: str, arguments: Mapping[str, str]) -> str:
        """Start the run of a key, and return its id.

        Raises:
            RefusedError: there is no run.
            ServiceError: whether there is a run is not known.
        """
