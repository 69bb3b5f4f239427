"""Evaluated bundle + reports -> one MLflow run with its artifacts and one version of the registered model."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from components import tracking
from htr.bundle import Bundle
from htr.errors import DataError
from htr.lines import LinesDataset


def publish(
    bundle_path: Path,
    dataset_path: Path,
    *,
    run_id: str,
    model_name: str,
    tracking_uri: str,
    files: Mapping[str, Path],
) -> str:
    """Register a bundle, with reports on its run and what it is in its tags.

    Args:
        bundle_path: the evaluated bundle.
        dataset_path: where an example image is taken from.
        run_id: the MLflow run that recorded the training.
        model_name: registered model.
        tracking_uri: MLflow's; "" takes the environment's.
        files: artifact name -> file; ``decision.json`` must be among them.

    Returns:
        The new version. A bundle that was registered before by the same run gives its old version back.

    Raises:
        ServiceError: MLflow is away or refuses.
    """
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
        **{name: f"{value:.4f}" for name, value in bundle.metrics.items()},
    }
    with (
        tracking.service(tracking_uri) as client,
        tracking.tracked_run(run_id),
        tempfile.TemporaryDirectory() as folder,
    ):
        known = [
            found
            for found in client.search_model_versions(f"name = '{model_name}'")
            if found.tags.get("bundle_digest") == bundle.digest and found.run_id == run_id
        ]
        if known:
            return str(known[0].version)
        for name, file in files.items():
            named = Path(folder) / name
            shutil.copyfile(file, named)
            tracking.log_file(named, "reports")
        tracking.log_metrics({f"golden_{name}": value for name, value in bundle.metrics.items()})
        # MLflow keeps the folder's own name, and whoever fetches the version looks for this one.
        logged = Path(shutil.copytree(bundle.path, Path(folder) / tracking.BUNDLE))
        registered = tracking.register_bundle(client, name=model_name, bundle=logged, example=example, tags=tags)
        client.set_registered_model_alias(model_name, tracking.CHALLENGER, registered.version)
    return registered.version
