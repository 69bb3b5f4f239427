"""MLflow's pages and the model server, side by side on a run's registry, until Ctrl-C."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from htr.errors import DataError, ServiceError
from pipelines.local import PROJECT, default_tracking_uri

STOP_TIMEOUT_S = 20.0


def up(run: Path, *, mlflow_port: int, http_port: int, grpc_port: int, show: Callable[[str], None]) -> int:
    """Start both, wait, stop both; return 0 when they were asked to stop.

    Args:
        run: folder of a loop, such as runs/latest.
        mlflow_port: of the MLflow pages.
        http_port: of the model server's REST.
        grpc_port: of its gRPC.
        show: takes one line of text.

    Raises:
        DataError: there is no run there.
        ServiceError: one of the two ended by itself.
    """
    run = run.resolve()
    if not (run / "mlflow.db").is_file():
        raise DataError(f"{run}: no run there (no mlflow.db); make one with: make run")
    uri = default_tracking_uri(run)
    commands = {
        "MLflow": [
            *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"),
            *("--port", str(mlflow_port), "--workers", "1"),
        ],
        "model server": [
            *(sys.executable, "-m", "serving", "--model", "models:/quillflow@champion", "--tracking-uri", uri),
            *(
                "--log-dir",
                str(run / "prediction-log"),
                "--http_port",
                str(http_port),
                "--grpc_port",
                str(grpc_port),
            ),
        ],
    }
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            log = run / "logs" / f"up-{name.replace(' ', '-')}.log"
            with log.open("w") as out:
                # A session of their own: Ctrl-C reaches this process alone, which then stops them in order.
                children[name] = subprocess.Popen(
                    command, cwd=PROJECT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
                )
        show(f"MLflow:       http://127.0.0.1:{mlflow_port}  (models, runs, reports)")
        show(f"model server: http://127.0.0.1:{http_port}/v1/models/htr:predict")
        show("Ctrl-C stops both")
        while not stopping:
            for name, child in children.items():
                if child.poll() is not None:
                    log = run / "logs" / f"up-{name.replace(' ', '-')}.log"
                    told = log.read_text(errors="replace").strip().splitlines()
                    raise ServiceError(f"{name} ended: {told[-1] if told else 'it said nothing'} (see {log})")
            time.sleep(0.3)
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            try:
                child.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
    show("stopped")
    return 0
