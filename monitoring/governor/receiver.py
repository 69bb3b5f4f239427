"""The governor's HTTP server: webhooks, wishes and hints in, what was decided out.

    POST /v1/alerts     Alertmanager's webhook
    POST /v1/wishes     {"id": ..., "by": "person" | "schedule", "reason": ...}
    POST /v1/registry   the registry changed; it is asked, whatever the body says
    GET  /v1/state      what is known, as JSON
    GET  /metrics       for Prometheus
    GET  /healthz       200 as long as turns are taken; names what does not work. Wants no token

It is Python's own HTTP server: a few requests a minute, on an inner network, are all it is for. A 200 to a POST
means that the decision is on disk; a 503 makes Alertmanager send again. A POST is JSON and says so, and comes from
no web page: on loopback no token is asked for, and a page that somebody looks at there must not begin a training.
"""

import ipaddress
import json
import logging
import re
import ssl
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from htr.access_log import AccessLog
from htr.errors import DataError, QuillflowError, ServiceError, SettingsError
from htr.rates import Rates, network
from htr.tokens import Token
from monitoring.governor.alertmanager import alerts_from
from monitoring.governor.events import Decision, Wish
from monitoring.governor.governor import Governor
from monitoring.governor.state import Run

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 4 * 2**20
REQUEST_TIMEOUT_S = 30.0
WRITES_A_MINUTE = 120
_ROUTES = {"/v1/alerts", "/v1/wishes", "/v1/registry"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
STUCK_S = 300.0
"""Without a turn for so long, the governor is not well."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How the server proves itself, and whom it asks to do the same."""

    certificate: Path
    key: Path
    clients: Path | None = None
    """Authorities whose certificates clients must show; None asks for none."""

    def context(self) -> ssl.SSLContext:
        """Return what sockets are wrapped with.

        Raises:
            SettingsError: a file is missing or no certificate or key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.clients is not None:
                context.load_verify_locations(self.clients)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"--tls-cert, --tls-key, --tls-clients: cannot be used ({error})") from error
        return context


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes answer from."""

    governor: Governor
    metrics: Callable[[], bytes]
    token: Token | str | None
    """What clients must send as ``Authorization: Bearer``, or None."""
    rates: Rates = field(default_factory=lambda: Rates(WRITES_A_MINUTE))
    """How often one client may post."""
    log: AccessLog | None = None
    """Where it is noted who posted, or None."""
    wake: Callable[[], None] = lambda: None
    """Has the next turn taken at once."""

    def post(self, path: str, body: Any) -> Any:
        """Answer a POST.

        Raises:
            DataError: the body is not what the route takes.
            KeyError: there is no such route.
            OutputError: what was decided cannot be written.
            ServiceError: it cannot be decided yet.
        """
        if path == "/v1/alerts":
            alerts = alerts_from(body)  # all of them before the first is taken in
            return {"decisions": [_told(self.governor.take(alert)) for alert in alerts]}
        if path == "/v1/wishes":
            return {"decisions": [_told(self.governor.take(wish_from(body)))]}
        if path == "/v1/registry":
            self.governor.hint()
            return {"decisions": []}
        raise KeyError(path)

    def client(self, authorization: str | None) -> str | None:
        """Return who sends a header, "" where no token is asked for; None where it may not."""
        if self.token is None:
            return ""
        token = Token(self.token.encode()) if isinstance(self.token, str) else self.token
        return token.client(authorization)

    def is_well(self) -> bool:
        """Return whether turns are taken."""
        return self.governor.at() - self.governor.last_turn_s < STUCK_S


def wish_from(body: Any) -> Wish:
    """Return the wish that a body stands for.

    Raises:
        DataError: it is none; the text names the field.
    """
    if not isinstance(body, dict) or set(body) - {"id", "by", "reason"}:
        raise DataError("expected an object with id, and by and reason if you like")
    wish = {"by": "person", "reason": "", **body}
    if not isinstance(wish.get("id"), str) or not 0 < len(wish["id"]) <= 200:
        raise DataError("id: expected text of 1 to 200 characters; the same id again is the same wish")
    if wish["by"] not in {"person", "schedule"}:
        raise DataError(f"by: expected person or schedule, found {wish['by']!r:.40}")
    if not isinstance(wish["reason"], str) or len(wish["reason"]) > 500:
        raise DataError("reason: expected text of at most 500 characters")
    return Wish(**wish)


def make_server(service: Service, host: str, port: int, tls: Tls | None = None) -> ThreadingHTTPServer:
    """Return a server that listens; it answers while its ``serve_forever`` runs.

    Raises:
        SettingsError: the address cannot be bound, or a certificate cannot be used.
    """
    context = tls.context() if tls is not None else None

    class Handler(_Handler):
        pass

    Handler.service = service
    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise SettingsError(f"port {port} on {host} cannot be bound ({error.strerror}); choose another") from error
    if context is not None:
        # The handshake is made by the thread that answers, not by the one that takes connections.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """What is noted about a POST."""

    route: str
    client: str | None
    """None: no client of ours."""
    request_id: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    service: Service
    timeout = REQUEST_TIMEOUT_S
    server_version = "quillflow-governor"
    sys_version = ""
    _write: Write | None = None
    """What is to be noted about the request, where it is a POST."""

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        given = self.headers.get("X-Request-Id", "")
        self._write = Write(
            route=f"POST {self.path if self.path in _ROUTES else '(another)'}",
            client=self.service.client(self.headers.get("Authorization")),
            request_id=given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4()),
        )
        try:
            self._guarded(self._post)
        finally:
            self._write = None  # a connection may bring a GET next

    def _guarded(self, answer: Callable[[], None]) -> None:
        """Answer; a fault of ours is told to the log, and to the client only that there was one."""
        try:
            answer()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # a fault of ours is for our log, not for the client, and must not end the service
            logger.exception("%s %s failed", self.command, self.path)
            self._answer(500, {"error": "internal error"})

    def _get(self) -> None:
        if self.path == "/healthz":
            well = self.service.is_well()
            parts = sorted(dict(self.service.governor.troubles))  # what is said about them wants the token
            self._answer(200 if well else 503, {"well": well, "troubles": parts})
        elif not self._admitted():
            pass
        elif self.path == "/metrics":
            self._send(200, self.service.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/v1/state":
            self._answer(200, shown_state(self.service.governor))
        else:
            self._answer(404, {"error": f"there is nothing at {self.path[:80]!r}"})

    def _post(self) -> None:
        if not self._in_time() or not self._admitted() or not self._is_no_page():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            self.close_connection = True
            self._answer(413, {"error": f"send a Content-Length of at most {MOST_BODY_BYTES}"})
            return
        try:
            answer = self.service.post(self.path, json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError):
            self._answer(400, {"error": "the body is not JSON"})
        except DataError as error:
            self._answer(400, {"error": str(error)})
        except KeyError:
            self._answer(404, {"error": f"there is nothing at {self.path[:80]!r}"})
        except ServiceError as error:  # nothing was decided, for now
            self._answer(503, {"error": str(error)})
        except QuillflowError as error:  # not on disk: whoever sent it sends it again
            logger.error("%s", error)  # noqa: TRY400 - it says all there is to say
            self._answer(503, {"error": "the decision could not be written; send it again"})
        else:
            self._answer(200, answer)
            self.service.wake()

    def _in_time(self) -> bool:
        """Refuse who posts too often, and who guesses at tokens; guesses have a bucket of their own."""
        assert self._write is not None  # noqa: S101 - it is a POST
        client = "?" if self._write.client is None else self._write.client
        turn = self.service.rates.take(f"{client}@{network(str(self.client_address[0]))}")
        if not turn.wait_s:
            return True
        self.close_connection = True
        if not turn.is_first:
            self._write = None  # noted once: a flood must not fill the disk
        said = f"too many requests from this client; come back in {turn.wait_s} s"
        self._send(429, json.dumps({"error": said}).encode(), "application/json", wait_s=turn.wait_s)
        return False

    def _admitted(self) -> bool:
        if self.service.token is None and self._is_misnamed():
            self.close_connection = True
            self._answer(
                403, {"error": "this server is for its own machine only: ask it as 127.0.0.1 or localhost"}
            )
            return False
        if self.service.client(self.headers.get("Authorization")) is not None:
            return True
        self.close_connection = True
        self._answer(401, {"error": 'this server wants a token: send the header "Authorization: Bearer TOKEN"'})
        return False

    def _is_misnamed(self) -> bool:
        """Return whether we are asked by a foreign name, as by a page whose site let its name point here."""
        host = self.headers.get("Host", "")
        named = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        address = self.server.server_address
        return isinstance(address, tuple) and _is_loopback(str(address[0])) and not _is_loopback(named)

    def _is_no_page(self) -> bool:
        """Refuse what a page in somebody's browser could send here, where no token is asked for.

        Without asking first, a browser sends a page's POST only with one of three types, none of them JSON; and it
        says whose page it is.
        """
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.headers.get("Origin") is not None:
            self._answer(403, {"error": "this server answers no web pages: send no Origin"})
        elif kind != "application/json":
            self._answer(415, {"error": 'send the body as JSON, with the header "Content-Type: application/json"'})
        else:
            return True
        self.close_connection = True
        return False

    def _answer(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str, *, wait_s: int = 0) -> None:
        if self._write is not None and self.service.log is not None:  # on disk before the answer leaves
            self.service.log.note(
                route=self._write.route,
                client=self._write.client or "",
                status=status,
                request_id=self._write.request_id,
            )
        self.send_response(status)
        if wait_s:
            self.send_header("Retry-After", str(wait_s))
        if self._write is not None:
            self.send_header("X-Request-Id", self._write.request_id)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        logger.debug(format, *args)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def shown_state(governor: Governor) -> dict[str, Any]:
    """Return what is known, as plain values."""
    with governor.reading():
        state = governor.state
        return {
            "format_version": 1,
            "records": state.seq,
            "at": governor.at(),
            "champion": asdict(state.champion) if state.champion else None,
            "labels": {"count": state.labels.count if state.labels else 0, "fresh": state.fresh},
            "concerns": [asdict(concern) for concern in state.concerns.values()],
            "labelling": asdict(state.labelling) if state.labelling else None,
            "run": _shown_run(state.run) if state.run else None,
            "watched": state.watch.champion.version if state.watch else "",
            "misses": state.misses,
            "stopped": state.stopped_why if state.stopped else "",
            "troubles": dict(governor.troubles),
        }


def _shown_run(run: Run) -> dict[str, Any]:
    return {**asdict(run), "time": run.time.isoformat() if run.time else None}


def _told(decision: Decision) -> dict[str, str]:
    return {"decision": decision.choice, "reason": decision.reason, "key": decision.key}
