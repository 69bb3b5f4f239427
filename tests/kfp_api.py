"""The Kubeflow Pipelines API (v2beta1) over HTTP on this machine: runs, schedules, experiments, versions.

Whatever comes in must fit kfp's generated models and protocol buffers (`tests.kfp_models`); a request that does
not is refused, and noted in ``faults``, which the end of the block asserts to be empty. The server can want a
token, refuse, fail, lose its answers, or cut the line after it accepted.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api

from tests.fakes import NOON
from tests.kfp_models import Fault, check, check_arguments, check_filter, check_package, check_spec

ROOT = "/apis/v2beta1/"
LISTS = {
    "runs": ("runs", "V2beta1ListRunsResponse"),
    "recurringruns": ("recurring_runs", "V2beta1ListRecurringRunsResponse"),
    "experiments": ("experiments", "V2beta1ListExperimentsResponse"),
    "pipelines": ("pipelines", "V2beta1ListPipelinesResponse"),
    "versions": ("pipeline_versions", "V2beta1ListPipelineVersionsResponse"),
}


@dataclass
class KfpApi:
    """The server's state, which a test may look at and change."""

    url: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Requests that the real API would not have understood."""
    asked: list[str] = field(default_factory=list)
    """Method and path of every request."""
    lose_answers: int = 0
    """So many of the next things asked for are made without an answer: the client waits until it gives up."""
    cut_answers: int = 0
    """So many are made, and then the connection is cut."""
    refuse_with: int = 0
    """Status that everything asked for is refused with; 0 for none."""
    refuse_all_with: int = 0
    """Status of every answer at all."""
    login_page: bool = False
    """Every request is sent to a page where people log in, as Dex does."""
    token: str = ""
    """What every request must bear; "" for nothing."""
    cookie: str = ""
    on_look: Any = None
    """Called with a run whenever somebody asks for it."""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def end(self, state: str) -> None:
        """End all runs."""
        for run in self.runs:
            run["state"] = state

    def spec_of(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the pipeline that a run or schedule is of: sent along, or of a version."""
        if "pipeline_spec" in body:
            found: dict[str, Any] = body["pipeline_spec"]
            return found
        named = body["pipeline_version_reference"]
        for one in self.versions:
            if (one["pipeline_id"], one["pipeline_version_id"]) == (
                named["pipeline_id"],
                named["pipeline_version_id"],
            ):
                spec: dict[str, Any] = one["pipeline_spec"]
                return spec
        raise Fault(f"there is no version {named}")

    def make(self, body: dict[str, Any], kind: str = "run") -> dict[str, Any]:
        """Make a run or a schedule."""
        given = body.get("runtime_config", {}).get("parameters", {})
        check_arguments(check_spec(self.spec_of(body)), given)
        if body.get("experiment_id") not in {one["experiment_id"] for one in self.experiments}:
            raise Fault("no such experiment")
        with self.lock:
            group = self.runs if kind == "run" else self.schedules
            number = len(group) + 1
            made = {**body, f"{kind}_id": f"{kind.replace('_', '-')}-{number}"}
            made |= {"state": "RUNNING"} if kind == "run" else {"status": "ENABLED"}
            made["created_at"] = (NOON + timedelta(seconds=number)).isoformat()
            group.append(made)
        return made

    def upload(self, data: bytes, kind: str, query: dict[str, str]) -> dict[str, Any]:
        """Take in a package, as a new pipeline or as a version of one."""
        message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + data, policy=HTTP)
        (part,) = message.iter_parts()  # type: ignore[attr-defined]
        if part.get_param("name", header="content-disposition") != "uploadfile":
            raise Fault("upload: expected the file as uploadfile")
        spec = check_package(part.get_payload(decode=True).decode())
        with self.lock:
            if "pipelineid" not in query:
                if any(one["display_name"] == query["name"] for one in self.pipelines):
                    raise Taken(query["name"])
                owner = {"pipeline_id": f"pipeline-{len(self.pipelines) + 1}", "display_name": query["name"]}
                self.pipelines.append({**owner, "name": query["name"]})
                return self._version(owner["pipeline_id"], query["name"], spec)
            if any(
                (one["pipeline_id"], one["display_name"]) == (query["pipelineid"], query["name"])
                for one in self.versions
            ):
                raise Taken(query["name"])
            return self._version(query["pipelineid"], query["name"], spec)

    def _version(self, pipeline_id: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        made = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": f"version-{len(self.versions) + 1}",
            "display_name": name,
            "pipeline_spec": spec,
        }
        self.versions.append(made)
        return made


class Taken(Exception):  # noqa: N818 - it is no error of ours
    """The name is taken."""


@contextmanager
def kfp_api() -> Iterator[KfpApi]:
    """Serve it until the block ends."""
    api = KfpApi()

    class Handler(_Handler):
        pass

    Handler.api = api
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()
    assert not api.faults, api.faults


class _Handler(BaseHTTPRequestHandler):
    api: KfpApi

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def do_DELETE(self) -> None:
        self._guarded(self._delete)

    def _guarded(self, act: Any) -> None:
        parts = urlsplit(self.path)
        self._query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._words = parts.path.removeprefix(ROOT).split("/")
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.api.asked.append(f"{self.command} {parts.path}")
        if self.api.login_page:
            self.send_response(302)
            self.send_header("Location", "/dex/auth")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif (self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}") or (
            self.api.cookie and self.headers.get("Cookie") != self.api.cookie
        ):
            self._answer({"error": "Unauthenticated"}, 401)
        elif self.api.refuse_all_with:
            self._answer({"error": "out of order"}, self.api.refuse_all_with)
        elif not parts.path.startswith(ROOT):
            self._fault(f"there is nothing at {parts.path}")
        else:
            try:
                act()
            except Taken as error:
                self._answer({"error": f"{error} exists already"}, 409)
            except (Fault, KeyError, ValueError) as error:
                self._fault(f"{self.command} {self.path}: {error!r}")

    def _get(self) -> None:
        words, api = self._words, self.api
        if words == ["healthz"]:
            self._answer({"multi_user": False}, kind="V2beta1GetHealthzResponse")
        elif words[0] == "runs" and len(words) == 2:
            (run,) = [one for one in api.runs if one["run_id"] == words[1]]
            if api.on_look is not None:
                api.on_look(run)
            self._answer(run, kind="V2beta1Run")
        else:
            owner = words[1] if len(words) > 1 else ""
            group = {
                "runs": api.runs,
                "recurringruns": api.schedules,
                "experiments": api.experiments,
                "pipelines": api.pipelines,
                "versions": [one for one in api.versions if one["pipeline_id"] == owner],
            }[words[-1]]
            field_name, kind = LISTS[words[-1]]
            wanted = check_filter(self._query.get("filter", '{"predicates": []}'))
            fits = [one for one in group if all(one[key] == value for key, value in wanted)]
            wire = getattr(kfp_server_api, kind).attribute_map[field_name]
            self._answer({wire: fits}, kind=kind)

    def _post(self) -> None:
        words, api = self._words, self.api
        if words[0] == "pipelines" and words[-1] in {"upload", "upload_version"}:
            self._make(lambda: api.upload(self._body, self.headers["Content-Type"], self._query))
            return
        if words[0] == "runs" and words[-1].endswith(":terminate"):
            run_id = words[-1].removesuffix(":terminate")
            next(run for run in api.runs if run["run_id"] == run_id)["state"] = "CANCELED"
            self._answer({})
            return
        body = json.loads(self._body)
        if words == ["experiments"]:
            check("V2beta1Experiment", body, "experiment")
            self._make(lambda: self._experiment(body))
        elif words == ["runs"]:
            check("V2beta1Run", body, "run")
            self._make(lambda: api.make(body))
        elif words == ["recurringruns"]:
            check("V2beta1RecurringRun", body, "recurring_run")
            self._make(lambda: api.make(body, "recurring_run"))
        else:
            raise Fault(f"there is nothing at {self.path}")

    def _delete(self) -> None:
        kind, named = self._words
        if kind != "recurringruns" or named not in {one["recurring_run_id"] for one in self.api.schedules}:
            self._answer({"error": f"no {named}"}, 404)
            return
        self.api.schedules[:] = [one for one in self.api.schedules if one["recurring_run_id"] != named]
        self._answer({})

    def _experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.api.lock:
            if any(one["display_name"] == body["display_name"] for one in self.api.experiments):
                raise Taken(body["display_name"])
            made = {**body, "experiment_id": f"experiment-{len(self.api.experiments) + 1}"}
            self.api.experiments.append(made)
        return made

    def _make(self, make: Any) -> None:
        """Make what was asked for, unless it is refused; then answer, or not."""
        api = self.api
        loses = self._words[0] in {"runs", "recurringruns"}
        if api.refuse_with and loses:
            self._answer({"error": "quota exceeded"}, api.refuse_with)
            return
        made = make()
        if loses and api.lose_answers:
            api.lose_answers -= 1
            api.closing.wait(30)
        elif loses and api.cut_answers:
            api.cut_answers -= 1
            self.close_connection = True
            self.connection.close()
        else:
            self._answer(made)

    def _fault(self, text: str) -> None:
        self.api.faults.append(text)
        self._answer({"error": text}, 400)

    def _answer(self, content: dict[str, Any], status: int = 200, kind: str = "") -> None:
        if kind:  # what this server says is what the client's models know, too
            check(kind, content, "answer")
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass
