"""A Kubernetes API on loopback for tests: objects with server-side apply's semantics, and faults on demand.

Of server-side apply it knows what decides about our objects: fields belong to the managers that set them, an
apply that would change another manager's field conflicts unless it is forced, what a manager applied before and
leaves out now goes away where nobody else holds it, lists are atomic (as HTTPRoute's rules are), a
``metadata.resourceVersion`` is a precondition, and an apply that changes nothing leaves that version alone.
"""

import contextlib
import copy
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Fault = Literal["conflict", "error", "lost", "refused", "unauthorized"]
"""``error``: a 500, and nothing happened. ``lost``: it happened, and the connection breaks before the answer."""
Place = tuple[str, ...]
_UPDATE = " (Update)"
"""Marks who wrote without applying: to Kubernetes another manager than one of the same name who applies."""
_OURS_ALONE = {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"}


class KubernetesApi:
    """The objects, by path; shared by all requests."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, dict[Place, set[str]]] = {}
        """Path of an object -> field -> who set it."""
        self.writes: list[tuple[str, str]] = []
        """Method and path of every write that changed something."""
        self.asked: set[tuple[str, str]] = set()
        """Method and path of every request that came."""
        self.faults: list[tuple[str, Fault]] = []
        """Method of the next request that is to fail, and how; each fails once."""
        self.allowed: set[str] | None = None
        """Paths that may be written; None for all."""
        self.tokens: set[str] | None = None
        """Tokens that are known; None asks for none."""
        self.url = ""
        self.lock = threading.Lock()
        self._version = 100

    def put(self, path: str, value: dict[str, Any], manager: str = "kubectl-client-side-apply") -> None:
        """Put an object in place as somebody's first write does."""
        with self.lock:
            self._store(path, copy.deepcopy(value))
            self.owners[path] = {place: {manager + _UPDATE} for place in _leaves(value)}

    def edit(self, path: str, place: str, value: Any, manager: str = "kubectl-edit") -> None:
        """Change one field, named with dots, as a person does."""
        with self.lock:
            changed = copy.deepcopy(self.objects[path])
            _set(changed, tuple(place.split(".")), value)
            self._store(path, changed)
            self.owners[path][tuple(place.split("."))] = {manager + _UPDATE}

    def ready(self, path: str, *, ready: bool = True) -> None:
        """Set the status that a controller sets."""
        with self.lock:
            found = self.objects[path]
            found["status"] = {
                "observedGeneration": found["metadata"]["generation"],
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            }

    def apply(self, path: str, value: dict[str, Any], manager: str, *, force: bool) -> tuple[int, dict[str, Any]]:
        """Apply; return the answer's status and body."""
        before = self.objects.get(path, {})
        wanted_version = value.get("metadata", {}).get("resourceVersion")
        if wanted_version is not None and wanted_version != before.get("metadata", {}).get("resourceVersion"):
            return 409, _status(409, "Conflict", "the object has been modified; please apply your changes")
        owners = self.owners.setdefault(path, {})
        given = {place: found for place, found in _leaves(value).items() if place[-1] not in _OURS_ALONE}
        held = {
            place: sorted(owners.get(place, set()) - {manager})
            for place, found in given.items()
            if owners.get(place, set()) - {manager} and _get(before, place) != found
        }
        if held and not force:
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{other.removesuffix(_UPDATE)}" using v1',
                    "field": "." + ".".join(place),
                }
                for place, others in held.items()
                for other in others
            ]
            return 409, _status(409, "Conflict", f"Apply failed with {len(causes)} conflict", causes)
        after = copy.deepcopy(before)
        for place, found in given.items():
            others = owners.get(place, set()) if place not in held else set()
            owners[place] = {*others, manager}
            _set(after, place, found)
        for place in [place for place, who in owners.items() if manager in who and place not in given]:
            owners[place] -= {manager}
            if not owners[place]:
                del owners[place]
                _remove(after, place)
        if after != before:
            self._store(path, after)
            self.writes.append(("PATCH", path))
        return 200, self.objects[path]

    def _store(self, path: str, value: dict[str, Any]) -> None:
        self._version += 1
        before = self.objects.get(path, {})
        metadata = value.setdefault("metadata", {})
        metadata["resourceVersion"] = str(self._version)
        was = before.get("metadata", {}).get("generation", 0)
        metadata["generation"] = was + 1 if before.get("spec") != value.get("spec") else was
        self.objects[path] = value

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a request."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        path = parts.path
        self.asked.add((method, path))
        if self.allowed is not None and method != "GET" and path not in self.allowed:
            return 403, _status(403, "Forbidden", f"may not {method} {path}")
        if method == "GET":
            found = self.objects.get(path)
            return (200, found) if found else (404, _status(404, "NotFound", f"{path} not found"))
        if path.endswith("/token"):
            return self._token(path.removesuffix("/token"), body)
        manager = query.get("fieldManager", [""])[0]
        if not manager:
            return 400, _status(400, "BadRequest", "fieldManager is required for apply patch")
        if method == "PATCH":
            return self.apply(path, body, manager, force=query.get("force") == ["true"])
        path = f"{path}/{body['metadata']['name']}"
        if path in self.objects:
            return 409, _status(409, "AlreadyExists", f"{path} already exists")
        self._store(path, copy.deepcopy(body))
        self.owners[path] = {place: {manager + _UPDATE} for place in _leaves(body)}
        self.writes.append(("POST", path))
        return 201, self.objects[path]

    def _token(self, account: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a TokenRequest: of an account that is there, bound to an object that is the one that is named."""
        if account not in self.objects:
            return 404, _status(404, "NotFound", f"{account} not found")
        bound = body["spec"]["boundObjectRef"]
        there = self.objects.get(f"{account.rpartition('/serviceaccounts/')[0]}/secrets/{bound['name']}", {})
        if there.get("metadata", {}).get("uid") != bound["uid"]:
            return 409, _status(
                409, "Conflict", f"the UID in the bound object reference ({bound['uid']}) does not match"
            )
        self._version += 1
        given = {"token": f"token-{self._version}", "expirationTimestamp": "2026-11-21T22:00:00Z"}
        return 201, {**body, "status": given}


@contextlib.contextmanager
def kubernetes_api(tls: ssl.SSLContext | None = None) -> Iterator[KubernetesApi]:
    """Serve one until the block ends; over TLS where a context is given."""
    api = KubernetesApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            if self.command == "PATCH" and self.headers["Content-Type"] != "application/apply-patch+yaml":
                self._send(415, _status(415, "UnsupportedMediaType", "only server-side apply"))
                return
            if (
                api.tokens is not None
                and self.headers.get("Authorization", "").removeprefix("Bearer ") not in api.tokens
            ):
                self._send(401, _status(401, "Unauthorized", "Unauthorized"))
                return
            with api.lock:
                fault = self._fault()
                if fault == "error":
                    self._send(500, _status(500, "InternalError", "etcdserver: request timed out"))
                    return
                if fault == "refused":
                    self._send(422, _status(422, "Invalid", "spec.predictor.model: Required value"))
                    return
                if fault == "unauthorized":
                    self._send(401, _status(401, "Unauthorized", "Unauthorized"))
                    return
                if fault == "conflict":
                    self._send(409, _status(409, "Conflict", "the object has been modified"))
                    return
                status, answer = api.answer(self.command, self.path, body)
                data = json.dumps(answer)
            if fault == "lost":
                self.close_connection = True
                self.connection.close()
                return
            self._send(status, json.loads(data))

        do_GET = do_POST = do_PATCH = _take

        def _fault(self) -> Fault | None:
            for place, (method, fault) in enumerate(api.faults):
                if method == self.command:
                    del api.faults[place]
                    return fault
            return None

        def _send(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # a connection that was broken on purpose
                super().handle_one_request()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    api.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _status(code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None) -> dict[str, Any]:
    details = {"causes": causes} if causes else {}
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


def _leaves(value: dict[str, Any], above: Place = ()) -> dict[Place, Any]:
    """Return the fields of an object; a list is one field."""
    found: dict[Place, Any] = {}
    for name, one in value.items():
        if isinstance(one, dict) and one:
            found |= _leaves(one, (*above, name))
        elif (*above, name) not in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}:
            found[(*above, name)] = one
    return found


def _get(value: dict[str, Any], place: Place) -> Any:
    found: Any = value
    for name in place:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found


def _set(value: dict[str, Any], place: Place, found: Any) -> None:
    for name in place[:-1]:
        value = value.setdefault(name, {})
    value[place[-1]] = copy.deepcopy(found)


def _remove(value: dict[str, Any], place: Place) -> None:
    above = _get(value, place[:-1]) if len(place) > 1 else value
    if isinstance(above, dict):
        above.pop(place[-1], None)


def wait_for_write(api: KubernetesApi, number: int, *, timeout_s: float = 10) -> None:
    """Wait until so many writes have changed something."""
    until = time.monotonic() + timeout_s
    while len(api.writes) < number:
        assert time.monotonic() < until, f"{len(api.writes)} writes of {number}"
        time.sleep(0.02)
