"""The champion's alias in, the immutable address of its bundle in the object store out. Asked once, by the step.

A pod that asked for the alias itself would serve whatever it points to on the day that the pod restarts; one that
is told a digest serves what was decided (docs/decisions/0030).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components import tracking
from htr.bundle import Bundle
from htr.errors import BundleError, MissingError, ServiceError
from htr.versions import Lineage, VersionStore, open_store


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What the champion's alias pointed to."""

    version: str
    """Of the registered model."""
    uri: str
    """``quillflow+s3://.../bundle/HEX64``."""
    published: bool
    """The store did not have it, and has it now."""


def resolve_champion(model_name: str, *, tracking_uri: str, store: str) -> Resolved:
    """Find the champion's bundle in the object store; publish it where the store has not got it.

    Args:
        model_name: registered model.
        tracking_uri: MLflow's; "" takes the environment's.
        store: ``s3://BUCKET/PREFIX`` or ``file:///DIR``; "" takes QUILLFLOW_STORE.

    Raises:
        ServiceError: there is no champion, or MLflow or the store is away.
        BundleError: what the registry holds is incomplete, altered, or not what the version says.
        SettingsError: no such store.
    """
    model_name = tracking.registered(model_name)
    versions = open_store(store)
    with tracking.service(tracking_uri) as client:
        found = tracking.version_at(client, model_name, tracking.CHAMPION)
        if found is None:
            raise ServiceError(f"{model_name}: no champion to deploy; the pipeline's gate has promoted none yet")
        digest = client.get_model_version(model_name, found.version).tags.get("bundle_digest", "")
        if digest and (uri := _known(versions, digest)):
            return Resolved(version=found.version, uri=uri, published=False)
        with tempfile.TemporaryDirectory() as folder:
            fetched = Bundle.open(tracking.fetch_bundle(model_name, found.version, Path(folder)))
            if digest and fetched.digest != digest:
                raise BundleError(
                    f"{model_name} version {found.version}: registered as {digest}, and the registry holds "
                    f"{fetched.digest}; register it again"
                )
            published = versions.publish("bundle", model_name, fetched.path, Lineage(commit=fetched.git_commit))
    return Resolved(version=found.version, uri=published.uri, published=True)


def _known(store: VersionStore, digest: str) -> str:
    try:
        return store.version("bundle", digest).uri
    except MissingError:
        return ""
