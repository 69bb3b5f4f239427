"""A champion that was taken back in, the InferenceServices that were told its bundle told the one before, out.

What is told is what the deploy step would tell: the immutable address of a bundle, in the store that the bundle to
be left lies in. A server that somebody has told another bundle meanwhile is let be.
"""

from dataclasses import dataclass

from htr.bundle import short
from htr.errors import MissingError, ServiceError
from htr.versions import is_digest, open_store, parse_version_uri
from k8s.cluster.api import NotThereError
from k8s.cluster.release import Servers, digest_of
from monitoring.governor.events import Champion


@dataclass(frozen=True, kw_only=True)
class ClusterServers:
    """Servers of one namespace."""

    servers: Servers
    names: tuple[str, ...]
    """InferenceServices; one that is not there (a canary, where none was applied) is passed over."""

    def go_back(self, champion: Champion) -> str:
        """Tell those that were told a champion's bundle the one before it; doing it twice changes nothing.

        Raises:
            ServiceError: Kubernetes is away or refuses, somebody else owns the address, or the store has no bundle
                to go back to.
            StoreError: the store is away or refuses.
        """
        told = {name: self._model(name) for name in self.names}
        left = {name: uri for name, uri in told.items() if f"sha256:{digest_of(uri)}" == champion.digest}
        if not left:
            return f"no server is told version {champion.version}"
        done = []
        for name, uri in left.items():
            before = _address_of(champion, uri)
            # Only over what was just read: a deployment that comes in between is newer than this decision.
            changed = self.servers.serve(name, before, over=uri)
            is_back = changed or self._model(name) == before  # the answer to our own write may have been lost
            done.append(
                f"{name} is told {short(digest_of(before))}" if is_back else f"{name} was told another one"
            )
        return f"{'; '.join(done)}, as before version {champion.version}"

    def _model(self, name: str) -> str:
        try:
            return self.servers.model(name)
        except NotThereError:
            return ""


def _address_of(champion: Champion, uri: str) -> str:
    """Return the address of the bundle before a champion's, in the store that the champion's lies in."""
    digest = champion.previous_digest
    then = f"publish version {champion.previous} and have it served: python -m components.deploy --target stable"
    if not is_digest(digest):
        raise ServiceError(f"version {champion.previous}: no digest in the registry; {then}")
    try:
        return open_store(parse_version_uri(uri, "bundle").store).version("bundle", digest).uri
    except MissingError as error:
        raise ServiceError(f"{error}; {then}") from error
