"""How a client of ours talks to a server: JSON over HTTP, tried again where nobody answered, errors by kind.

All of them are `htr.errors.ServiceError`:

    UnreachableError    nobody answered in time, or the server says that it cannot now: send it again later
    RefusedError        the server understood and said no; ``status`` and the message say why
    |-- ConflictError   a correction's id stands for another correction
    `-- TooLargeError   over one of the server's limits
    StrangeAnswerError  what answered is no such server
"""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from htr.errors import ServiceError, SettingsError

_NO_ANSWER = (http.client.RemoteDisconnected, http.client.IncompleteRead, http.client.ResponseNotReady)
TIMED_OUT = "timed_out"
TRIES = 3
"""Times that what nobody answered is sent: a correction is stored once, however often it comes."""


class UnreachableError(ServiceError):
    """Nobody answered in time, or the server says that it cannot now.

    Attributes:
        after_s: seconds that the server asks to wait.
        code: the server's word for why it cannot, such as ``busy`` or ``too_slow``; TIMED_OUT where the connection
            was silent for too long; "" where neither is known.
    """

    def __init__(self, reason: str, after_s: float = 0.0, code: str = "") -> None:
        super().__init__(reason)
        self.after_s, self.code = after_s, code


class StrangeAnswerError(ServiceError):
    """What answered is not the server that this client knows."""


class RefusedError(ServiceError):
    """The server understood and said no.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ConflictError(RefusedError):
    """A correction's id stands for another correction."""


class TooLargeError(RefusedError):
    """Over one of the server's limits."""


class Wire:
    """A connection to one server, made anew for every request; safe to share between threads.

    Args:
        url: ``http://host:port`` or ``https://host:port``, with a path before ``/v1`` if there is one.
        timeout_s: longest that a connection may stay silent.
        token: sent with every request where the server, or what stands before it, wants one.
        wait: waits some seconds before the next try.

    Raises:
        SettingsError: the URL is none.
    """

    def __init__(
        self, url: str, *, timeout_s: float = 30.0, token: str = "", wait: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"{url!r}: expected http://host:port or https://host:port")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._wait = wait

    def call(self, method: str, path: str, payload: object = None) -> Any:
        """Send a request, again where nobody answered, and return the answer's JSON.

        Raises:
            ServiceError: as the top of this file shows.
        """
        body = None if payload is None else json.dumps(payload).encode()
        for tries_left in reversed(range(TRIES)):
            try:
                return self._once(method, path, body)
            except UnreachableError as error:
                if not tries_left:
                    raise
                self._wait(max(error.after_s, 0.5 * (TRIES - tries_left)))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: bytes | None) -> Any:
        connection = self._connect(self._host, self._port, timeout=self._timeout_s)
        try:
            with suppress(
                BrokenPipeError, ConnectionResetError
            ):  # refused before all was sent: the answer says why
                connection.request(method, self._base + path, body, self._headers)
            answer = connection.getresponse()
            status, content, after = answer.status, answer.read(), answer.headers.get("Retry-After", "")
        except _NO_ANSWER as error:
            raise UnreachableError(f"{self._where()}: no answer ({error!r}); send it again later") from error
        except http.client.HTTPException as error:
            raise self.strange(repr(error)) from error
        except OSError as error:
            code = TIMED_OUT if isinstance(error, TimeoutError) else ""
            reason = f"{self._where()}: cannot be reached ({error}); is it running?"
            raise UnreachableError(reason, code=code) from error
        finally:
            connection.close()
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise self.strange(f"status {status} without JSON") from error
        if status < 300:
            return parsed
        reason = str(parsed.get("error", parsed)) if isinstance(parsed, dict) else str(parsed)
        if status in {429, 503}:
            code = str(parsed.get("code", "")) if isinstance(parsed, dict) else ""
            raise UnreachableError(f"{self._where()}: {reason}", float(after) if after.isdecimal() else 0.0, code)
        raise {409: ConflictError, 413: TooLargeError}.get(status, RefusedError)(status, reason)

    def strange(self, found: str) -> StrangeAnswerError:
        """Return the error for an answer that no server of ours gives."""
        return StrangeAnswerError(f"{self._where()}: answered with {found}; check the URL and the model's name")

    def _where(self) -> str:
        return f"{self._host}:{self._port or ''}"
