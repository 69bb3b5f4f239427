"""As much of the Kubeflow Pipelines API (v2beta1) as the governor asks of it, over HTTP, on this machine.

Field names, paths and the filter are those of kfp_server_api 2.17. Answers can be lost: a run is made, and the
client hears nothing until it gives up.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes import NOON


@dataclass
class KfpApi:
    """The server's state, which a test may look at and change."""

    url: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    lose_answers: int = 0
    """So many of the next runs are made without an answer."""
    refuse_with: int = 0
    """Status that every further run is refused with; 0 for none."""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self, state: str) -> None:
        """End all runs."""
        for run in self.runs:
            run["state"] = state

    def make(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a run."""
        with self.lock:
            number = len(self.runs) + 1
            made = {**body, "run_id": f"run-{number}", "state": "RUNNING"}
            made["created_at"] = (NOON + timedelta(seconds=number)).isoformat()
            self.runs.append(made)
        return made


@contextmanager
def kfp_api() -> Iterator[KfpApi]:
    """Serve it until the block ends."""
    api = KfpApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.endswith("healthz"):
                self._answer({"multi_user": False})
            elif parts.path.endswith("/runs"):
                self._answer({"runs": [run for run in api.runs if matches(run, parse_qs(parts.query))]})
            else:
                self._answer({})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.path.endswith("experiments"):
                self._answer({"experiment_id": "experiment-1", "display_name": body["display_name"]})
            elif self.path.endswith(":terminate"):
                named = self.path.split("/")[-1].removesuffix(":terminate")
                next(run for run in api.runs if run["run_id"] == named)["state"] = "CANCELED"
                self._answer({})
            elif api.refuse_with:
                self._answer({"error": "quota exceeded"}, status=api.refuse_with)
            else:
                made = api.make(body)
                if api.lose_answers:
                    api.lose_answers -= 1
                    api.closing.wait(30)
                    return
                self._answer(made)

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
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()


def matches(run: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """Return whether a run fits a list's filter."""
    predicates = json.loads(query.get("filter", ['{"predicates": []}'])[0])["predicates"]
    assert all(
        one["operation"] == "EQUALS" and set(one) == {"operation", "key", "stringValue"} for one in predicates
    )
    return all(run[one["key"]] == one["stringValue"] for one in predicates)
