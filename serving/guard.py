"""What stands between the network and KServe's endpoints: who may ask, how much, and errors that say just enough.

KServe by itself takes bodies of any size from anybody, for as long as they like, and sends the text of unexpected
exceptions to the client.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import Token, is_foreign, is_misnamed, is_open
from serving.admission import Admission
from serving.error_answers import answer_error, error_answer, refused
from serving.guesses import Guesses
from serving.limits import Limits
from serving.metrics import Metrics
from serving.refusals import BusyError, RefusedError, RequestError, TooOftenError, UnknownModelError
from serving.stamp import Stamp, choose_request_id
from serving.writes import Write, Writes

logger = logging.getLogger(__name__)

READING_PATH = re.compile(r"/v[12]/models/(?P<model>[^/]+?)(:predict|/infer)")
"""Paths that read images."""
MakeStamp = Callable[[str], Stamp]
"""Returns what an answer to a request of this id says about where it came from."""


class Guard:
    """ASGI middleware: refuses who may not ask and bodies that are too much, and answers what nothing else caught.

    Args:
        app: what it stands before.
        limits: what is refused.
        stamp: see `MakeStamp`.
        admission: by model, refuses requests to read before their body is received, while as many wait as may.
        token: what clients must send, or None.
        metrics: where refused readings are counted, or None.
        loopback_only: refuse requests by another name than this machine's own.
        writes: bounds and notes requests that write, or None.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        stamp: MakeStamp,
        admission: Mapping[str, Admission],
        token: Token | None = None,
        metrics: Metrics | None = None,
        loopback_only: bool = False,
        writes: Writes | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._stamp = stamp
        self._admission = admission
        self._token = token
        self._metrics = metrics
        self._loopback_only = loopback_only
        self._writes = writes
        self._guesses = Guesses()
        self._num_buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get("x-request-id"))
        if headers.get("x-request-id") != request_id:
            named = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
            scope = {**scope, "headers": [*named, (b"x-request-id", request_id.encode())]}
        stamp = self._stamp(request_id)
        body = _Body(receive, self)
        answered = False
        client = self._token.client(headers.get("authorization")) if self._token else ""
        write = self._writes.begin(scope, client=client, request_id=request_id) if self._writes else None

        async def noted(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                signed = MutableHeaders(scope=message)
                signed.setdefault("x-request-id", request_id)
                signed["x-content-type-options"] = "nosniff"
                if self._metrics and message["status"] >= 400 and READING_PATH.fullmatch(scope["path"]):
                    self._metrics.refused(message["status"])
                if write:
                    await write.note(message["status"])
            await send(message)

        try:
            address = (scope.get("client") or ("",))[0]
            if refusal := self._refusal(scope["path"], headers, stamp, client, write, address):
                await refusal(scope, receive, noted)
            else:
                await self._app(scope, body.receive, noted)
        except ClientDisconnect:
            logger.info("request %s: the client left before its body was received", request_id)
        except Exception:  # the text of an unexpected exception is for our log and not for the client
            logger.exception("request %s failed", request_id)
            if not answered:
                failed = error_answer(500, "internal", f"internal error, request id {request_id}", stamp)
                await failed(scope, receive, noted)
        finally:
            self._num_buffered -= body.size

    def _refusal(
        self, path: str, headers: Headers, stamp: Stamp, client: str | None, write: Write | None, address: str
    ) -> JSONResponse | None:
        """Return what is to be said to a request that is refused before its body is received."""
        if write:
            try:
                write.check()
            except TooOftenError as error:
                return refused(error, stamp)
        if self._token and not is_open(path) and client is None:
            return refused(self._guesses.refuse(address, sent="authorization" in headers), stamp)
        if is_foreign(headers):
            return error_answer(403, "forbidden", "pages of other sites may not ask this server", stamp)
        if self._loopback_only and is_misnamed(headers):
            said = "this server is for its own machine only: ask it as 127.0.0.1 or localhost"
            return error_answer(403, "forbidden", said, stamp)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.max_body_bytes:
            return error_answer(413, "too_large", self.too_large(), stamp)
        asked = READING_PATH.fullmatch(path)
        if asked and asked["model"] in self._admission:
            try:
                self._admission[asked["model"]].check()
            except BusyError as busy:
                return refused(busy, stamp)
        return None

    def buffer(self, size: int) -> None:
        """Count bytes that are kept for a request until it is answered.

        Raises:
            BusyError: they are too many, of all requests together.
        """
        if self._num_buffered + size > self._limits.max_buffered_bytes:
            raise BusyError("too much is being received from all clients together", retry_after_s=1)
        self._num_buffered += size

    def too_large(self) -> str:
        """Return what is said about a body over the limit."""
        return f"the request's body is over {self._limits.max_body_bytes} bytes; send fewer or smaller images"

    @property
    def limits(self) -> Limits:
        """What is refused."""
        return self._limits


class _Body:
    """The body of one request, counted and timed while it is received."""

    def __init__(self, receive: Receive, guard: Guard) -> None:
        self._receive = receive
        self._guard = guard
        self._until = asyncio.get_running_loop().time() + guard.limits.max_upload_seconds
        self._complete = False
        self.size = 0

    async def receive(self) -> Message:
        if self._complete:  # what follows is the news that the client is gone, and may take its time
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError as error:
            seconds = self._guard.limits.max_upload_seconds
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT, f"the request's body did not arrive within {seconds:g} s; send less"
            ) from error
        size = len(message.get("body", b""))
        if self.size + size > self._guard.limits.max_body_bytes:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._guard.too_large())
        self._guard.buffer(size)
        self.size += size
        self._complete = not message.get("more_body", False)
        return message


def install(
    app: FastAPI,
    limits: Limits,
    *,
    stamp: MakeStamp,
    admission: Mapping[str, Admission],
    token: Token | None = None,
    metrics: Metrics | None = None,
    loopback_only: bool = False,
    writes: Writes | None = None,
) -> None:
    """Put the guard before KServe's application, and give every error the shape of `error_answers`."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        request_id = getattr(error, "request_id", "") or request.headers["x-request-id"]
        return answer_error(error, stamp(request_id))

    for kind in (RequestError, RefusedError, UnknownModelError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(
        Guard,
        limits=limits,
        stamp=stamp,
        admission=admission,
        token=token,
        metrics=metrics,
        loopback_only=loopback_only,
        writes=writes,
    )
