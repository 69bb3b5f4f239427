"""Real servers and stores for tests: a model server as a process, an MLflow registry in a SQLite file."""

import atexit
import contextlib
import functools
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from htr.alphabet import Alphabet
from htr.bundle import Bundle, write_bundle
from htr.export import bundle_files
from htr.image import Geometry
from htr.model import LineNet, ModelConfig

ROOT = Path(__file__).parent.parent
READY = re.compile(r"serving (?P<name>\S+) version (?P<version>\S+) at (?P<url>\S+) \(gRPC (?P<grpc>\S+)\)")
MODEL_CODE = """
import mlflow

class Lines(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input

mlflow.models.set_model(Lines())
"""


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A model server that takes requests."""

    process: subprocess.Popen[str]
    url: str
    grpc: str
    version: str
    stderr: Path

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=40)
        finally:
            self.process.kill()


@contextlib.contextmanager
def model_server(
    *args: str,
    module: str = "serving",
    http_port: str = "0",
    timeout_s: float = 90,
    env: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[RunningServer]:
    """Run ``python -m serving`` until the block ends.

    Args:
        args: its options but for ports.
        module: another one that takes the same flags.
        http_port: by default any free one.
        timeout_s: how long it may take to become ready.
        env: variables beside ours.
    """
    command = [sys.executable, "-m", module, "--http_port", http_port, "--grpc_port", "0", *args]
    with tempfile.TemporaryDirectory() as folder:
        stderr = Path(folder) / "stderr"
        with (
            stderr.open("w") as errors,
            subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **env}
            ) as process,
        ):
            try:
                assert process.stdout is not None
                readable, _, _ = select.select([process.stdout], [], [], timeout_s)
                found = READY.match(process.stdout.readline()) if readable else None
                assert found, f"the server did not become ready: {stderr.read_text()}"
                yield RunningServer(
                    process=process, url=found["url"], grpc=found["grpc"], version=found["version"], stderr=stderr
                )
            finally:
                process.terminate()
                try:
                    process.wait(timeout=40)
                finally:
                    process.kill()


def refused_start(*args: str, module: str = "serving") -> tuple[int, str]:
    """Run ``python -m serving`` with options that it cannot work with; return exit code and stderr."""
    command = [sys.executable, "-m", module, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def untaught_bundle(path: Path, *, seed: int) -> Path:
    """Write a small bundle that reads nonsense, other nonsense for another seed."""
    torch.manual_seed(seed)
    config = ModelConfig(height=16, channels=(4, 4, 8, 8), squeeze=16, width=8)
    alphabet = Alphabet("abcdefghijklmnopqrstuvwxyz ")
    geometry = Geometry(height=config.height)
    bundle = Bundle(path=path, architecture=config.to_dict(), alphabet=alphabet, geometry=geometry)
    write_bundle(bundle, bundle_files(LineNet(config, len(alphabet))))
    return path


class ModelRegistry:
    """An MLflow registry in a SQLite file of its own.

    Args:
        folder: where the file and the artifacts go.
        name: the registered model.
    """

    def __init__(self, folder: Path, name: str = "quillflow") -> None:
        from mlflow import MlflowClient

        self.folder = folder
        self.name = name
        self.uri = f"sqlite:///{folder}/mlflow.db"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_migrated_database(), folder / "mlflow.db")
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self.experiment = self.client.create_experiment("lines", artifact_location=str(folder / "artifacts"))
        self.client.create_registered_model(name)

    def add(self, files: Path) -> str:
        """Register a folder as it is; return the version."""
        run = self.client.create_run(self.experiment)
        self.client.log_artifacts(run.info.run_id, str(files), "bundle")
        source = f"{run.info.artifact_uri}/bundle"
        return str(self.client.create_model_version(self.name, source, run.info.run_id).version)

    def add_pyfunc(self, bundle: Path) -> str:
        """Register a bundle the way that training does, as an artifact of a pyfunc model; return the version."""
        import mlflow

        code = self.folder / "model_code.py"
        code.write_text(MODEL_CODE)
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)  # a step run in this process before may have named another
        try:
            with mlflow.start_run(experiment_id=self.experiment):
                info = mlflow.pyfunc.log_model(
                    name="recogniser",
                    python_model=str(code),
                    artifacts={"bundle": str(bundle)},
                    pip_requirements=[],
                    registered_model_name=self.name,
                )
        finally:
            mlflow.set_tracking_uri(None)
            mlflow.set_registry_uri(None)
        return str(info.registered_model_version)

    def point(self, alias: str, version: str) -> None:
        """Move an alias."""
        self.client.set_registered_model_alias(self.name, alias, version)


@functools.cache
def _migrated_database() -> Path:
    """Make an empty MLflow database once: its many migrations take seconds."""
    from mlflow import MlflowClient

    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    uri = f"sqlite:///{folder}/mlflow.db"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments()
    return folder / "mlflow.db"


def wait_until(condition: Callable[[], object], *, timeout_s: float = 20) -> None:
    """Wait until a condition holds, and fail if it does not in time."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
