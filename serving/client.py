"""A client for programs: line images in, readings out, and corrections of them back to the server.

It needs Python's standard library and `htr.errors`. Errors, all of them `htr.errors.ServiceError`:

    UnreachableError    nobody answered in time, or the server says that it cannot now: send it again later
    RefusedError        the server understood and said no; ``status`` and the message say why
    |-- ConflictError   a correction's id stands for another correction
    `-- TooLargeError   over one of the server's limits
    StrangeAnswerError  what answered is no such server
"""

import base64
import http.client
import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from htr.errors import ServiceError, SettingsError

_NO_ANSWER = (http.client.RemoteDisconnected, http.client.IncompleteRead, http.client.ResponseNotReady)
TRIES = 3
"""Times that what nobody answered is sent: a correction is stored once, however often it comes."""


class UnreachableError(ServiceError):
    """Nobody answered in time, or the server says that it cannot now.

    Attributes:
        after_s: seconds that the server asks to wait.
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


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


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterRead:
    """One code point of a reading."""

    character: str
    left: float
    """Pixels of the line's image."""
    right: float
    confidence: float
    """The network's own, 0..1; not calibrated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRead:
    """What the server read on one line, and which model it was: what a correction of it needs to say."""

    image: bytes
    text: str
    confidence: float
    """Calibrated probability that the whole line is right, 0..1."""
    model_version: str
    bundle_digest: str
    request_id: str
    position: int
    """Place among the request's images, from 0."""
    characters: tuple[CharacterRead, ...] = ()
    """Of the text, where they were asked for."""
    alternatives: tuple[str, ...] = ()
    """What the line may say, the reading first, where it was asked for."""


class Client:
    """Talks to one server; safe to share between threads.

    Args:
        url: ``http://host:port`` or ``https://host:port``, with a path before ``/v1`` if there is one.
        model: its name in the endpoints.
        timeout_s: longest that a connection may stay silent.
        token: sent with every request where the server, or what stands before it, wants one.
        wait: waits some seconds before the next try.

    Raises:
        SettingsError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "htr",
        timeout_s: float = 30.0,
        token: str = "",
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"{url!r}: expected http://host:port or https://host:port")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._model = model
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._wait = wait

    def read(
        self, images: Sequence[bytes], *, characters: bool = False, alternatives: int = 0
    ) -> list[LineRead]:
        """Return what the server reads on some encoded line images, in their order.

        Args:
            images: each of one line.
            characters: ask where each character stands, and how sure the network was of it.
            alternatives: ask for so many texts at most that each line may hold.

        Raises:
            ServiceError: as the top of this file shows.
        """
        instances = [{"image": {"b64": _b64(image)}} for image in images]
        sent = {"instances": instances, "parameters": {"characters": characters, "alternatives": alternatives}}
        answer = self._call("POST", f"/v1/models/{self._model}:predict", sent)
        try:
            stamp = {name: str(answer[name]) for name in ("model_version", "bundle_digest", "request_id")}
            return [
                LineRead(
                    image=image,
                    text=one["text"],
                    confidence=one["confidence"],
                    position=position,
                    characters=tuple(CharacterRead(**each) for each in one.get("characters", ())),
                    alternatives=tuple(each["text"] for each in one.get("alternatives", ())),
                    **stamp,
                )
                for position, (image, one) in enumerate(zip(images, answer["predictions"], strict=True))
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(f"an answer without {error}") from error

    def correct(
        self,
        seen: LineRead,
        text: str,
        *,
        author: str,
        correction_id: str = "",
        chosen_by: str = "reading",
        line: str = "",
        page: str = "",
        writer: str = "",
        language: str = "",
    ) -> str:
        """Send what a line really says; when this returns, the server has it on disk.

        Args:
            seen: what was read.
            text: what it says; the same text where the reading was right.
            author: who says so.
            correction_id: sent again under the same id it is stored once; by default a new UUID.
            chosen_by: ``sample`` where the line was looked at whatever the model read.
            line: your name of the line; a later correction of the same line of the same page replaces this one.
            page: your name of the page.
            writer: whose hand it is.
            language: ISO 639-3 code.

        Returns:
            The correction's id.

        Raises:
            ServiceError: as the top of this file shows.
        """
        sent = {
            "id": correction_id or str(uuid.uuid4()),
            "author": author,
            "image": {"b64": _b64(seen.image)},
            "old_text": seen.text,
            "new_text": text,
            "chosen_by": chosen_by,
            **{name: getattr(seen, name) for name in ("model_version", "bundle_digest", "request_id", "position")},
            **{"line": line, "page": page, "writer": writer, "language": language},
        }
        self._call("POST", "/v1/corrections", sent)
        return str(sent["id"])

    def withdraw(self, correction_id: str, *, author: str, reason: str = "") -> None:
        """Say that a correction is not to be learnt from.

        Raises:
            ServiceError: as the top of this file shows.
        """
        self._call("POST", "/v1/corrections/withdraw", {"id": correction_id, "author": author, "reason": reason})

    def corrections(self, *, start: int = 0, limit: int = 100) -> tuple[list[dict[str, Any]], int]:
        """Return stored corrections without their images, oldest first, and how many there are in all.

        Raises:
            ServiceError: as the top of this file shows.
        """
        answer = self._call("GET", "/v1/corrections?" + urlencode({"start": start, "limit": limit}))
        try:
            return list(answer["corrections"]), int(answer["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(f"an answer without {error}") from error

    def _call(self, method: str, path: str, payload: object = None) -> Any:
        """Send a request, again where nobody answered, and return the answer's JSON."""
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
            raise self._strange(repr(error)) from error
        except OSError as error:
            raise UnreachableError(f"{self._where()}: cannot be reached ({error}); is it running?") from error
        finally:
            connection.close()
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise self._strange(f"status {status} without JSON") from error
        if status < 300:
            return parsed
        reason = str(parsed.get("error", parsed)) if isinstance(parsed, dict) else str(parsed)
        if status in {429, 503}:
            raise UnreachableError(f"{self._where()}: {reason}", float(after) if after.isdecimal() else 0.0)
        raise {409: ConflictError, 413: TooLargeError}.get(status, RefusedError)(status, reason)

    def _strange(self, found: str) -> StrangeAnswerError:
        return StrangeAnswerError(f"{self._where()}: answered with {found}; check the URL and the model's name")

    def _where(self) -> str:
        return f"{self._host}:{self._port or ''}"


def _b64(image: bytes) -> str:
    return base64.b64encode(image).decode()
