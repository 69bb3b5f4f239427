"""An MLflow registry in, what is wrong with its aliases out: each must point to the whole bundle that it says."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.tracking import fetch_bundle, service
from htr.errors import QuillflowError
from htr.lines import file_sha256
from htr.soundness import Finding, check_bundle

ALIASES = ("champion", "previous", "challenger")


def check_registry(tracking_uri: str, public_key: Path | None = None) -> Iterator[Finding]:
    """Find out whether every alias points to a version whose bundle is whole and is what its tags say.

    Args:
        tracking_uri: MLflow's.
        public_key: bundles must be signed with it; None asks for no signature.
    """
    place = Path(tracking_uri.removeprefix("sqlite:///"))
    try:
        with service(tracking_uri) as client:
            for model in client.search_registered_models():
                for alias, version in sorted(model.aliases.items()):
                    if alias in ALIASES:
                        for kind, said in _aliased(client, model.name, str(version), public_key):
                            yield Finding(place=place, kind=kind, said=f"{model.name}@{alias}: {said}")
    except QuillflowError as error:
        yield Finding(place=place, kind="damaged", said=str(error))


def _aliased(client: Any, name: str, version: str, public_key: Path | None) -> Iterator[tuple[str, str]]:
    tags = client.get_model_version(name, version).tags
    with tempfile.TemporaryDirectory(prefix="quillflow-fsck-") as folder:
        try:
            bundle = fetch_bundle(name, version, Path(folder))
        except (QuillflowError, OSError) as error:
            yield "dangling", f"version {version} cannot be fetched ({error})"
            return
        yield from (("damaged", f"version {version}: {one.said}") for one in check_bundle(bundle, public_key))
        if not (bundle / "bundle.json").is_file():
            return
        digest = "sha256:" + file_sha256(bundle / "bundle.json")
        if tags.get("bundle_digest", digest) != digest:
            yield "damaged", f"version {version} is bundle {digest}, and its tag says {tags['bundle_digest']}"
        if not tags.get("decision") or not tags.get("reason"):
            yield "uncaused", f"version {version} does not say why it was registered"
