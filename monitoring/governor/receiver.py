"""The governor's HTTP server: webhooks, wishes and hints in, what was decided out.

    POST /v1/alerts     Alertmanager's webhook
    POST /v1/wishes     {"id": ..., "by": "person" | "schedule", "reason": ...}
    POST /v1/registry   the registry changed; it is asked, whatever the body says
    GET  /v1/state      what is known, as JSON
    GET  /metrics       for Prometheus
    GET  /healthz       200 as long as turns are taken; names what does not work. Wants no token: probes have none

It is Python's own HTTP server: a few requests a minute, on an inner network, are all it is for. A 200 to a POST
means that the decision is on disk; a 503 makes Alertmanager send again. A POST is JSON and says so, and comes from
no web page: on loopback no token is asked for, and a page that somebody looks at there must not begin a training.
"""

import ipaddress
import json
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from htr.errors import DataError, QuillflowError, ServiceError, SettingsError
from htr.rates import Turn, network
from monitoring.governor.service import Service, shown_state
from monitoring.governor.tls import Tls

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 4 * 2**20
REQUEST_TIMEOUT_S = 30.0
_ROUTES = {"/v1/alerts", "/v1/wishes", "/v1/registry"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


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
        """Refuse who posts too often; those who have no right token have a bucket of their own."""
        assert self._write is not None  # noqa: S101 - it is a POST
        client = "?" if self._write.client is None else self._write.client
        turn = self.service.rates.take(f"{client}@{network(str(self.client_address[0]))}")
        if turn.wait_s:
            self._put_off(turn, "requests")
        return not turn.wait_s

    def _put_off(self, turn: Turn, what: str) -> None:
        self.close_connection = True
        if not turn.is_first:
            self._write = None  # noted once: a flood must not fill the disk
        said = f"too many {what} from this client; come back in {turn.wait_s} s"
        self._send(429, json.dumps({"error": said}).encode(), "application/json", wait_s=turn.wait_s)

    def _admitted(self) -> bool:
        if self.service.token is None and self._is_misnamed():
            self.close_connection = True
            self._answer(
                403, {"error": "this server is for its own machine only: ask it as 127.0.0.1 or localhost"}
            )
            return False
        sent = self.headers.get("Authorization")
        if self.service.client(sent) is not None:  # counted only where it is wrong: neighbours keep nobody out
            return True
        self.close_connection = True
        if sent is not None:  # to have none is no guess
            # Apart for each method, or the first POST of a row that a GET began would not be noted.
            turn = self.service.guesses.take(f"{self.command} {network(str(self.client_address[0]))}")
            if turn.wait_s:
                self._put_off(turn, "wrong tokens")
                return False
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
