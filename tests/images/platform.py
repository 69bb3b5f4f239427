"""What steps of the pipeline talk to on a cluster, on this machine: MLflow's own server, and a real S3 store."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio

from tests.alerting import free_port
from tests.ceph import gateway
from tests.servers import ROOT, wait_until

MLFLOW, STORE = "quillflow-platform/mlflow", "quillflow-platform/seaweedfs"
"""As the table of allowed paths calls them."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Both, running."""

    pods: Mapping[str, str]
    """Environment of a step, with the addresses that ``k8s/base/settings.env`` gives it."""
    here: Mapping[str, str]
    """The same for a process of this machine."""
    services: Mapping[str, tuple[str, int]]
    """host:port as pods name it -> what that is in the table, and the port on this machine."""


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """Start both, with nothing in them; they end with the block.

    Args:
        folder: for what they keep.
    """
    lines = (ROOT / "k8s" / "base" / "settings.env").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    names = {name: urlsplit(settings[name]).netloc for name in ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL")}
    kept = ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "AWS_REGION", "QUILLFLOW_STORE")
    (folder / "s3").mkdir(parents=True)
    with gateway(folder / "s3") as s3, _mlflow(folder / "mlflow", names["MLFLOW_TRACKING_URI"]) as mlflow_port:
        key, secret = s3.owner.access_key, s3.owner.secret_key
        bucket = urlsplit(settings["QUILLFLOW_STORE"]).netloc
        Minio(f"127.0.0.1:{s3.port}", key, secret, secure=False).make_bucket(bucket)
        pods = {name: settings[name] for name in kept} | {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
        yield Platform(
            pods=pods,
            here=pods
            | {"AWS_ENDPOINT_URL": s3.endpoint, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}"},
            services={
                names["MLFLOW_TRACKING_URI"]: (MLFLOW, mlflow_port),
                names["AWS_ENDPOINT_URL"]: (STORE, s3.port),
            },
        )


@contextmanager
def _mlflow(folder: Path, name: str) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/kept",
    ]
    command += ["--allowed-hosts", f"{name},127.0.0.1:{port}"]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "log"
    with log.open("w") as out, subprocess.Popen(command, env=environ, stdout=out, stderr=out) as server:
        try:
            wait_until(lambda: server.poll() is not None or _answers(port), timeout_s=180)
            assert server.poll() is None, log.read_text()
            yield port
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
