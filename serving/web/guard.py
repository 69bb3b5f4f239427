"""What stands before the page: no other site's pages, no other names of this machine, no body without end.

Of Gradio's many routes those alone are there that the page needs.

Gradio by itself asks fonts and scripts from other hosts; the browser is told here to ask nobody but this one.
"""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import is_foreign, is_misnamed
from serving.web.offered import Cookies, find_offer

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; "
    "object-src 'none'"
)
"""Gradio compiles its templates in the browser, hence unsafe-eval."""
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """ASGI middleware.

    Args:
        app: what it stands before.
        max_bytes: of one request's body.
        loopback_only: refuse requests by any other name, as a page sends that was led here by a false one.
        is_in: says of a request's cookies whether they are those of somebody who came in.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, loopback_only: bool, is_in: Callable[[Cookies], bool]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._loopback_only = loopback_only
        self._is_in = is_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":  # the page needs none
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(HTTPConnection(scope)):
            await PlainTextResponse(refusal[1], refusal[0], headers=HEADERS)(scope, receive, send)
            return
        left = self._max_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:  # sent in pieces, without saying how much: as good as gone
                return {"type": "http.disconnect"}
            return message

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, counted, signed)

    def _refusal(self, request: HTTPConnection) -> tuple[int, str] | None:
        headers = request.headers
        if is_foreign(headers):
            return 403, "Pages of other sites may not use this one."
        if self._loopback_only and is_misnamed(headers):
            return 403, "This page is for its own machine only: open it as http://127.0.0.1 or http://localhost."
        offer = find_offer(request.scope["method"], request.scope["path"])
        if offer is None:
            return 404, "There is nothing here."
        if not offer.is_open and not self._is_in(request.cookies):
            return 401, "Open the page and give your name and the token first."
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return 413, f"At most {self._max_bytes // 2**20} MB are taken at once."
        return None
