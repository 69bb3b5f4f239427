"""Registry alias -> bundle folder, checked file by file against its digests."""

import shutil
import tempfile
from pathlib import Path

from components.tracking import CHAMPION, fetch_bundle, registered, service, version_at
from htr.bundle import Bundle
from htr.signing import find_verify_key, verify_bundle


def fetch_champion(model_name: str, tracking_uri: str, out: Path) -> str:
    """Copy the champion's bundle to a folder; an empty folder means that there is none.

    Returns:
        The version, or "".

    Raises:
        ServiceError: MLflow is away or refuses.
        BundleError: what the registry holds is incomplete, altered, or unsigned where QUILLFLOW_VERIFY_KEY asks
            for a signature.
    """
    model_name = registered(model_name)
    with service(tracking_uri) as client:
        found = version_at(client, model_name, CHAMPION)
        if found is None:
            out.mkdir(parents=True, exist_ok=True)
            return ""
        with tempfile.TemporaryDirectory() as folder:
            fetched = fetch_bundle(model_name, found.version, Path(folder))
            if (public_key := find_verify_key()) is not None:
                verify_bundle(fetched, public_key)
            shutil.copytree(Bundle.open(fetched).path, out, dirs_exist_ok=True)
    return found.version
