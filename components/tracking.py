"""MLflow for the steps: the experiment run that a pipeline run shares, and the model registry with its aliases.

The one module under components/ that imports mlflow.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.pandas_dataset import from_pandas
from mlflow.exceptions import MlflowException
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema

from htr.errors import ServiceError
from htr.lines import LinesDataset
from htr.tenants import Tenant
from htr.versions import is_address, open_lines

_EXPERIMENT = "quillflow"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
BUNDLE = "bundle"
"""Folder of the bundle among a version's artifacts."""
_PYFUNC = Path(__file__).parent / "register" / "pyfunc_model.py"


def registered(name: str) -> str:
    """Return what a model goes by in MLflow: a tenant's has his name before it."""
    return Tenant.of(os.environ).registered(name)


@contextmanager
def service(tracking_uri: str) -> Iterator[mlflow.MlflowClient]:
    """Talk to MLflow; its failures become one ServiceError that names the address.

    Args:
        tracking_uri: the server or database; "" takes MLFLOW_TRACKING_URI from the environment.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise ServiceError("no MLflow address: give --tracking-uri, or set MLFLOW_TRACKING_URI")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # about 4 s to find a server gone
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:
        # An address that does not answer is told with the whole connection pool: its last part is the reason.
        reason = error.message.rpartition("Caused by ")[2] if "Caused by " in error.message else error.message
        raise ServiceError(f"MLflow at {uri}: {reason}; is it up and reachable from here?") from error


def knows_run(client: mlflow.MlflowClient, run_id: str) -> bool:
    """Return whether MLflow still has a run; a database may be thrown away while a work folder stays."""
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


@contextmanager
def tracked_run(
    run_id: str = "", *, tags: Mapping[str, str] | None = None, parent: str = "", name: str = ""
) -> Iterator[str]:
    """Enter an MLflow run, with system metrics; yields its id.

    Args:
        run_id: continued; where there is none, the MLFLOW_RUN_ID that KFP sets; else a run is begun.
        tags: set on the run.
        parent: run to nest it in, "" for none; a nested run is never the one that KFP set.
        name: of a nested run.
    """
    known = run_id or ("" if parent else os.environ.get("MLFLOW_RUN_ID", ""))
    experiment = _set_experiment()
    told = dict(tags or {}) | ({"mlflow.parentRunId": parent} if parent else {})
    begun = not known
    if parent and begun:  # begun here: start_run would take the environment's run for it
        known = mlflow.MlflowClient().create_run(experiment, tags=told, run_name=name or None).info.run_id
    with mlflow.start_run(run_id=known or None, nested=bool(parent), log_system_metrics=begun, tags=told) as run:
        yield run.info.run_id


def begin_run(*, tags: Mapping[str, str], name: str) -> str:
    """Begin a run that other processes nest theirs in, and leave it open; return its id.

    The MLFLOW_RUN_ID that KFP sets is taken where there is one.
    """
    known = os.environ.get("MLFLOW_RUN_ID", "")
    experiment = _set_experiment()
    if known:
        return known
    run_id: str = mlflow.MlflowClient().create_run(experiment, tags=dict(tags), run_name=name).info.run_id
    return run_id


def end_run(client: mlflow.MlflowClient, run_id: str, *, failed: bool = False) -> None:
    """Close a run that some process left open, or say of one that it failed."""
    client.set_terminated(run_id, "FAILED" if failed else "FINISHED")


def _set_experiment() -> str:
    """Enter the experiment; beside a database file its artifacts lie in ``mlartifacts``. Return its id."""
    uri, name = mlflow.get_tracking_uri(), registered(_EXPERIMENT)
    if uri.startswith("sqlite:///") and mlflow.get_experiment_by_name(name) is None:
        folder = Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts"
        mlflow.create_experiment(name, artifact_location=folder.as_uri())
    experiment_id: str = mlflow.set_experiment(name).experiment_id
    return experiment_id


class VersionSource(DatasetSource):
    """Lines that are in a store of versions, as MLflow names the source of a run's input."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @staticmethod
    def _get_source_type() -> str:
        return "quillflow_version"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, str) and is_address(raw_source)

    @classmethod
    def _resolve(cls, raw_source: Any) -> "VersionSource":
        return cls(str(raw_source))

    def load(self) -> LinesDataset:
        """Open the lines where they lie."""
        return open_lines(self.uri)

    def to_dict(self) -> dict[str, Any]:
        """Return what MLflow keeps."""
        return {"uri": self.uri}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> "VersionSource":
        """Return what `to_dict` was made of."""
        return cls(source_dict["uri"])


def log_dataset(dataset: LinesDataset, context: str, uri: str = "") -> None:
    """Log a lines dataset as the run's input: its rows without images, its digest, and where it is.

    Args:
        dataset: the lines.
        context: what they are used for.
        uri: address of this version in a store, which stays; "" takes the folder, which may not.
    """
    frame = dataset.columns(["id", "text", "writer", "source", "language", "split"]).to_pandas()
    digest = dataset.digest.removeprefix("sha256:")[:36]  # MLflow's limit
    folder = dataset.path.resolve().as_uri()
    source = VersionSource(uri) if uri else folder
    mlflow.log_input(from_pandas(frame, source=source, name="lines", digest=digest), context=context)
    mlflow.set_tag("dataset_digest", dataset.digest)
    mlflow.set_tag("dataset_uri", uri or folder)


def log_params(values: Mapping[str, Any]) -> None:
    """Log parameters of the active run."""
    mlflow.log_params(dict(values))


def log_metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Log metrics of the active run, for one epoch or as a whole."""
    mlflow.log_metrics(dict(values), step=step)


def set_tags(values: Mapping[str, str]) -> None:
    """Set tags of the active run."""
    mlflow.set_tags(dict(values))


def log_file(path: Path, folder: str) -> None:
    """Log a file among the run's artifacts."""
    mlflow.log_artifact(str(path), folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    version: str
    run_id: str


def version_at(client: mlflow.MlflowClient, name: str, alias: str) -> Version | None:
    """Return the version that an alias points to, or None where there is none."""
    try:
        found = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return Version(name=name, version=str(found.version), run_id=str(found.run_id))


def fetch_bundle(name: str, version: str, folder: Path) -> Path:
    """Download a version's bundle below a folder; return where it lies."""
    local = Path(
        mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(folder))
    )
    return local / "artifacts" / BUNDLE


def register_bundle(*, name: str, bundle: Path, example: bytes) -> Version:
    """Log a bundle as an MLflow pyfunc from code (nothing is pickled) and register it as a new version.

    Args:
        name: registered model.
        bundle: its folder, which must be named BUNDLE.
        example: one encoded line image: MLflow reads it to prove that the model loads.
    """
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema([ColSpec("string", "text"), ColSpec("double", "confidence")]),
    )
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(_PYFUNC),
        artifacts={BUNDLE: str(bundle)},
        signature=signature,
        input_example=pd.DataFrame({"image": [example]}),
        pip_requirements=["quillflow"],
        registered_model_name=name,
    )
    return Version(name=name, version=str(info.registered_model_version), run_id=str(info.run_id))


def describe(client: mlflow.MlflowClient, version: Version, tags: Mapping[str, str], alias: str) -> None:
    """Set a version's tags and point an alias to it; doing it again changes nothing."""
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value)
    client.set_registered_model_alias(version.name, alias, version.version)
