"""What the guard of a rollout works with: each a part that somebody else is, and that a test can be."""

from dataclasses import dataclass
from typing import Protocol

from k8s.cluster.release import Route, Servers
from monitoring.governor.events import Champion
from monitoring.rollout.pairs import PairSource
from monitoring.rollout.sources import Source


class Registry(Protocol):
    """The registered model's aliases. All of it may raise ServiceError."""

    def champion(self) -> Champion | None:
        """Return the champion and the version before it; None where there is none."""

    def was_taken_back(self, digest: str) -> bool:
        """Return whether a version with this bundle (``sha256:...``) lost the alias because it did worse."""

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        """Give the alias back to the version before; return whether it is there, and what to say."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All of them."""

    servers: Servers
    route: Route
    source: Source
    pairs: PairSource | None = None
    registry: Registry | None = None
    """Only its champion is rolled out, and its alias is moved back with a canary that is taken back; None asks and
    moves none."""
    writes_stable: bool = True
    """Tell the stable server itself which bundle to serve; False waits until a commit has told it (GitOps)."""
