"""Small stand-ins for what is not ours, and made-up numbers for what takes a trained model to measure."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from htr.prediction_log import SCHEMA as LOG_SCHEMA
from htr.profile import SCHEMA as PROFILE_SCHEMA

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class RecordingLauncher:
    """A pipeline service that remembers what it was asked to run.

    Args:
        behave: called at every start; what it raises, the service raises.
        ends_as: what a start that returns means.
    """

    def __init__(
        self, behave: Callable[[], None] = lambda: None, *, ends_as: Literal["done", "submitted"] = "done"
    ) -> None:
        self.behave = behave
        self.ends_as = ends_as
        self.started: list[dict[str, str]] = []

    def start(self, arguments: Mapping[str, str]) -> str:
        self.started.append(dict(arguments))
        self.behave()
        return f"run-{len(self.started)}"


def profile_rows(num_rows: int, *, seed: int, **shifts: float) -> pa.Table:
    """Return invented profile rows: correlated, some columns whole numbers, one constant; shifts are added."""
    rng = np.random.default_rng(seed)
    hand = rng.normal(size=num_rows)
    columns = {}
    for number, name in enumerate(PROFILE_SCHEMA.names):
        columns[name] = number + 0.5 * hand + rng.normal(size=num_rows)
    columns["width"] = np.round(300 + 80 * columns["width"])
    columns["num_characters"] = rng.poisson(12, num_rows)
    columns["digit_share"] = np.where(rng.random(num_rows) < 0.7, 0, rng.random(num_rows))
    columns["paper_level"] = np.full(num_rows, 255)
    shifted = {name: (values + shifts.get(name, 0)).astype(np.float32) for name, values in columns.items()}
    return pa.table(shifted, schema=PROFILE_SCHEMA)


def log_rows(profiles: pa.Table, *, bundle_digest: str, start: datetime = NOON) -> pa.Table:
    """Return rows of the prediction log, one reading a second."""
    num_rows = len(profiles)
    columns: dict[str, Any] = {
        "time": [start + timedelta(seconds=n) for n in range(num_rows)],
        "request_id": [f"request-{n}" for n in range(num_rows)],
        "position": [0] * num_rows,
        "model_version": ["1"] * num_rows,
        "bundle_digest": [bundle_digest] * num_rows,
        "confidence": [0.9] * num_rows,
        **{name: profiles[name] for name in profiles.column_names},
    }
    return pa.table(columns, schema=LOG_SCHEMA)


def write_log(folder: Path, table: pa.Table, name: str = "20261120T120000-1-0.parquet") -> Path:
    """Add a finished file to a prediction log."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name)
    return folder


@contextmanager
def kfp_server(*, accepts: bool = True) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve as much of the Kubeflow Pipelines API as submitting a run takes; yields its address and the runs."""
    runs: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"multi_user": False} if self.path.endswith("healthz") else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("experiments"):
                self._answer({"experiment_id": "experiment-1", "display_name": body["display_name"]})
            elif accepts:
                runs.append(body)
                self._answer({"run_id": f"run-{len(runs)}"})
            else:
                self._answer({"error": "quota exceeded"}, status=429)

        def _answer(self, content: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", runs
    finally:
        server.shutdown()
        server.server_close()
