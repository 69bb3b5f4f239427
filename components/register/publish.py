"""Evaluated bundle + reports -> one MLflow run with its artifacts and one version of the registered model."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import tracking
from htr.bundle import Bundle
from htr.errors import DataError
from htr.lines import LinesDataset
from htr.signing import sign_if_asked
from htr.versions import Lineage, open_store
from htr.versions.addresses import STORE_VARIABLE


def publish(
    bundle_path: Path,
    dataset_path: Path,
    *,
    run_id: str,
    model_name: str,
    tracking_uri: str,
    dataset_uri: str = "",
    files: Mapping[str, Path],
    asked_by: str = "",
) -> str:
    """Register a bundle, signed where QUILLFLOW_SIGN_KEY says by whom, with reports on its run and tags.

    Args:
        bundle_path: the evaluated bundle.
        dataset_path: where an example image is taken from.
        run_id: the MLflow run that recorded the training.
        model_name: registered model.
        tracking_uri: MLflow's; "" takes the environment's.
        dataset_uri: address of the dataset's version in a store; "" where it is in none.
        files: artifact name -> file; ``decision.json`` must be among them.
        asked_by: what the run was begun for, so that whoever began it knows its version again; "" for nothing.

    Returns:
        The version. A run registers one version only: asked again, it gives that one back.

    Raises:
        ServiceError: MLflow or the store of versions is away or refuses.
    """
    model_name = tracking.registered(model_name)
    bundle = Bundle.open(bundle_path)
    decision = json.loads(files["decision.json"].read_text(encoding="utf-8"))
    example = next((line.image for line in LinesDataset.open(dataset_path).lines("test")), None)
    if example is None:
        raise DataError(f"{dataset_path}: no test line to show MLflow as an example")
    tags = {
        "bundle_digest": bundle.digest,
        "dataset_digest": bundle.dataset_digest,
        "git_commit": bundle.git_commit,
        "decision": "promote" if decision["promote"] else "keep",
        "rule": decision["rule"],
        "reason": decision["reason"],
        **({"asked_by": asked_by} if asked_by else {}),
        **{name: f"{value:.4f}" for name, value in bundle.metrics.items()},
    }
    with (
        tracking.service(tracking_uri) as client,
        tracking.tracked_run(run_id),
        tempfile.TemporaryDirectory() as folder,
    ):
        known = _versions(client, model_name, run_id)
        for name, file in files.items():
            named = Path(folder) / name
            shutil.copyfile(file, named)
            tracking.log_file(named, "reports")
        tracking.log_metrics({f"final_{name}": value for name, value in bundle.metrics.items()})
        # MLflow keeps the folder's own name, and whoever fetches the version looks for this one.
        logged = Path(shutil.copytree(bundle.path, Path(folder) / tracking.BUNDLE))
        sign_if_asked(logged)
        tags |= _addresses(logged, model_name, run_id, dataset_uri)
        if not known:
            tracking.register_bundle(name=model_name, bundle=logged, example=example)
        # MLflow's client asks again where the answer was lost, and may have made two: the first one counts.
        for made in _versions(client, model_name, run_id)[1:]:
            client.delete_model_version(model_name, made.version)
        version = _versions(client, model_name, run_id)[0]
        # Also for a known one: a try that was killed may have stopped between the version and its tags.
        tracking.describe(client, version, tags, tracking.CHALLENGER)
    return version.version


def _versions(client: Any, model_name: str, run_id: str) -> list[tracking.Version]:
    """Return the versions that a run registered, oldest first."""
    found = client.search_model_versions(f"name = '{model_name}'")
    numbers = sorted(int(one.version) for one in found if one.run_id == run_id)
    return [tracking.Version(name=model_name, version=str(number), run_id=run_id) for number in numbers]


def _addresses(bundle: Path, model_name: str, run_id: str, dataset_uri: str) -> dict[str, str]:
    """Publish the bundle where the environment names a store; return the tags that say where things are."""
    tags = {"dataset_uri": dataset_uri} if dataset_uri else {}
    if os.environ.get(STORE_VARIABLE):
        lineage = Lineage(importer=f"MLflow run {run_id}")
        tags["bundle_uri"] = open_store().publish("bundle", model_name, bundle, lineage).uri
    return tags
