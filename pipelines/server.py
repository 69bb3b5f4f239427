"""The model server as a child process, and a client that reads lines with it over HTTP."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from htr.errors import ServiceError
from htr.lines import Line
from htr.metrics import ErrorCounts, count_errors
from htr.prediction_log import read_log
from pipelines.children import PROJECT

START_TIMEOUT_S = 120.0
SWAP_TIMEOUT_S = 60.0
LOG_TIMEOUT_S = 30.0
LINES_PER_REQUEST = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """One line as the server read it."""

    line: Line
    text: str
    model_version: str


class ModelServer:
    """``python -m serving`` on a free port; use as a context manager.

    Args:
        model: registry address, ``models:/NAME@ALIAS``.
        tracking_uri: MLflow's address.
        root: of the run; holds ``prediction-log/``, ``models/`` (fetched ones) and ``logs/serving.log``.
        extra: more options of ``python -m serving``.
    """

    def __init__(self, *, model: str, tracking_uri: str, root: Path, extra: Sequence[str] = ()) -> None:
        root = root.resolve()  # the server runs elsewhere
        self._command = [sys.executable, "-m", "serving", "--model", model, "--tracking-uri", tracking_uri]
        self._command += ["--log-dir", str(root / "prediction-log"), "--cache-dir", str(root / "models")]
        self._command += ["--poll-s", "1", *extra]
        self._output = root / "logs" / "serving.log"
        self.url = ""
        self.num_read = 0
        """Lines that it was sent, and read."""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        port, grpc_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*self._command, "--http_port", str(port), "--grpc_port", str(grpc_port)]
        # Our own requests carry no token, and nobody else can reach the server.
        environment = {name: value for name, value in os.environ.items() if name != "QUILLFLOW_TOKEN"}
        with self._output.open("w", encoding="utf-8") as out:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
            )
        try:
            self._wait_until_ready()
        except BaseException:  # Ctrl-C included: no server is left behind
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None  # noqa: S101 - set on entry
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _wait_until_ready(self) -> None:
        assert self._process is not None  # noqa: S101 - set on entry
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                told = self._output.read_text(encoding="utf-8").strip().splitlines()
                raise ServiceError(f"the model server did not start: {told[-1] if told else 'it said nothing'}")
            try:
                with urllib.request.urlopen(f"{self.url}/v2/models/htr/ready", timeout=2) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise ServiceError(f"the model server was not ready after {START_TIMEOUT_S:.0f} s; see {self._output}")

    def read(self, lines: Iterable[Line], *, on_line: Callable[[int], None] = lambda _: None) -> list[Served]:
        """Read lines over the V1 protocol, a few a request.

        Raises:
            ServiceError: the server refuses a request or is gone.
        """
        served: list[Served] = []
        for some in _chunks(lines, LINES_PER_REQUEST):
            images = [{"image": {"b64": base64.b64encode(line.image).decode()}} for line in some]
            answer = self._post("/v1/models/htr:predict", {"instances": images})
            for line, reading in zip(some, answer["predictions"], strict=True):
                served.append(Served(line=line, text=reading["text"], model_version=str(answer["model_version"])))
            self.num_read += len(some)
            on_line(len(served))
        return served

    def wait_for(self, version: str, line: Line) -> None:
        """Wait until the server reads with a version; the line is read again and again meanwhile.

        Raises:
            ServiceError: it does not take the version over.
        """
        deadline = time.monotonic() + SWAP_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.read([line])[0].model_version == version:
                return
            time.sleep(0.5)
        raise ServiceError(f"the server did not take version {version} over within {SWAP_TIMEOUT_S:.0f} s")

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - loopback, address of our own
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                parsed: dict[str, Any] = json.load(answer)
                return parsed
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")[:300]
            raise ServiceError(f"the model server answered {error.code}: {reason}; see {self._output}") from error
        except OSError as error:
            raise ServiceError(f"the model server is gone ({error}); see {self._output}") from error


def settled(log_dir: Path, rows: int) -> None:
    """Wait until the prediction log, which is written behind the requests, holds so many rows.

    Raises:
        ServiceError: it does not come to hold them.
    """
    deadline = time.monotonic() + LOG_TIMEOUT_S
    while len(read_log(log_dir)) < rows:
        if time.monotonic() > deadline:
            raise ServiceError(
                f"{log_dir}: {len(read_log(log_dir))} rows logged of {rows} readings; see serving.log"
            )
        time.sleep(0.2)


def errors_of(served: Iterable[Served]) -> ErrorCounts:
    """Return the errors of what was read."""
    return sum((count_errors(one.line.text, one.text) for one in served), ErrorCounts())


def _chunks(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    some: list[Line] = []
    for line in lines:
        some.append(line)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
