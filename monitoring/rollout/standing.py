"""Whether a bundle may be given traffic: the registry calls it champion, and nobody has taken it back."""

from dataclasses import dataclass

from htr.bundle import short
from htr.errors import ServiceError
from k8s.cluster.release import digest_of
from monitoring.rollout.parts import Registry
from monitoring.rollout.records import Choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What the registry says about a canary's bundle. Where there is no registry, nothing."""

    lost: str = ""
    """Why it may have no traffic, "" where it may."""
    taken_back: bool = False
    """It lost the alias because it did worse."""
    unknown: str = ""
    """Why nobody knows, "" where it is known."""

    @property
    def choice(self) -> Choice:
        """What follows where it is lost."""
        return "roll_back" if self.taken_back else "abort"


def standing_of(registry: Registry | None, uri: str, *, again: bool = False) -> Standing:
    """Ask the registry about a bundle.

    Args:
        registry: None asks nobody.
        uri: the bundle's address.
        again: a person wants it tried though it was taken back before, and has made it champion again.
    """
    if registry is None:
        return Standing()
    digest = f"sha256:{digest_of(uri)}"
    try:
        champion, taken_back = registry.champion(), registry.was_taken_back(digest)
    except ServiceError as error:
        return Standing(unknown=f"nobody knows whether it is champion ({error})")
    if champion is not None and champion.digest == digest and (again or not taken_back):
        return Standing()
    now = (
        f"version {champion.version} ({short(champion.digest)}) is champion"
        if champion
        else "there is no champion"
    )
    why = "was rolled back" if taken_back else "is not champion"
    return Standing(lost=f"{short(digest)} {why}; {now}", taken_back=taken_back)
