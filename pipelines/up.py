"""MLflow's pages and the model server, side by side on a run's registry, until Ctrl-C.

Where no model was promoted there is nothing to serve: then MLflow's pages alone.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from htr.errors import DataError, ServiceError, SettingsError
from htr.tenants import Tenant
from pipelines.children import PROJECT
from pipelines.local import default_tracking_uri
from serving.addresses import check_port

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.2
HOST = "127.0.0.1"
MODEL, ALIAS = "quillflow", "champion"
ENVIRONMENT = {
    # MLflow's job runner is several more processes, for jobs that nobody here starts.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


def up(run: Path, *, mlflow_port: int, http_port: int, grpc_port: int, show: Callable[[str], None]) -> int:
    """Start both, say where each is once it answers, wait, stop both; return 0 when they were asked to stop.

    Args:
        run: folder of a loop, such as runs/latest.
        mlflow_port: of the MLflow pages.
        http_port: of the model server's REST.
        grpc_port: of its gRPC.
        show: takes one line of text.

    Raises:
        DataError: there is no run there.
        SettingsError: two of the ports are the same, or one is no fixed port.
        ServiceError: a port is taken, or one of the two does not answer in time or ended by itself.
    """
    run = run.resolve()
    if not (run / "mlflow.db").is_file():
        raise DataError(f"{run}: no run there (no mlflow.db); make one with: make run")
    ports = {"--mlflow-port": mlflow_port, "--http-port": http_port, "--grpc-port": grpc_port}
    if len(set(ports.values())) < len(ports) or min(ports.values()) < 1:
        given = ", ".join(f"{flag} {port}" for flag, port in ports.items())
        raise SettingsError(f"expected three different ports of 1 or more, got {given}")
    for flag, port in ports.items():
        check_port(HOST, port, flag)
    uri, logs = default_tracking_uri(run), run / "logs"
    logs.mkdir(exist_ok=True)
    serving = ["--model", f"models:/{MODEL}@{ALIAS}", "--tracking-uri", uri]
    serving += ["--log-dir", str(run / "prediction-log"), "--cache-dir", str(run / "models")]
    pages = ["server", "--backend-store-uri", uri, "--host", HOST, "--workers", "1"]
    champion = _has_champion(uri)
    services = [
        Service(
            name="MLflow",
            command=("mlflow", *pages, "--port", str(mlflow_port)),
            port=mlflow_port,
            health="/health",
            shown=f"MLflow:       http://{HOST}:{mlflow_port}  (models, runs, reports)",
            log=logs / "up-MLflow.log",
        ),
    ]
    if champion:
        services.append(
            Service(
                name="model server",
                command=("serving", *serving, "--http_port", str(http_port), "--grpc_port", str(grpc_port)),
                port=http_port,
                health="/v2/models/htr/ready",
                shown=f"model server: http://{HOST}:{http_port}/v1/models/htr:predict",
                log=logs / "up-model-server.log",
            )
        )
    else:
        show("no champion in this run: no model was promoted, so there is nothing to serve; MLflow's pages only")
    with _stop_asked() as asked, _running(services) as processes:
        _supervise(services, processes, asked, show)
    show("stopped")
    return 0


def _has_champion(uri: str) -> bool:
    """Return whether the run's registry has a champion; asked of MLflow, since people promote in its pages too."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.MlflowClient(uri, uri).get_model_version_by_alias(Tenant.of(os.environ).registered(MODEL), ALIAS)
    except MlflowException:
        return False
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One of the two."""

    name: str
    command: tuple[str, ...]
    """What Python runs after ``-m``."""
    port: int
    health: str
    """Path that answers 200 when it is ready."""
    shown: str
    """What the user is told then."""
    log: Path

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a session of its own: Ctrl-C reaches our process alone, which then stops all in order."""
        with self.log.open("w") as out:
            return subprocess.Popen(
                [sys.executable, "-m", *self.command],
                cwd=PROJECT,
                env={**ENVIRONMENT, **os.environ},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Return whether it is ready."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2)  # unlike urllib it knows no proxy
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_words(self) -> str:
        """Return the last line of its log, and where the rest is."""
        told = self.log.read_text(errors="replace").strip().splitlines()
        return f"{told[-1] if told else 'it said nothing'} (see {self.log})"


def _supervise(
    services: Sequence[Service],
    processes: Sequence[subprocess.Popen[bytes]],
    asked: Callable[[], bool],
    show: Callable[[str], None],
) -> None:
    """Return when a stop was asked for; raise ServiceError where that is not how it ends."""
    waiting = list(services)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not asked():
        for service, process in zip(services, processes, strict=True):
            if process.poll() is not None:
                raise ServiceError(f"{service.name} ended: {service.last_words()}")
        for service in [service for service in waiting if service.answers()]:
            waiting.remove(service)
            show(service.shown)
            if not waiting:
                show("Ctrl-C stops both" if len(services) > 1 else "Ctrl-C stops it")
        if waiting and time.monotonic() > deadline:
            late = waiting[0]
            raise ServiceError(f"{late.name} did not answer within {START_TIMEOUT_S:.0f} s: {late.last_words()}")
        time.sleep(POLL_S)


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Take SIGINT and SIGTERM as a wish to stop while the block runs."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _running(services: Sequence[Service]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run services while the block runs; after it nothing that they started is left."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.extend(service.start() for service in services)
        yield processes
    finally:
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            # MLflow is a process and its child: neither must outlive us, however the first one ended.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
