"""What stands before the page: no other site's pages, no foreign names, no body and no guessing without end.

Of Gradio's many routes those alone are there that the page needs.

Gradio by itself asks fonts and scripts from other hosts; the browser is told here to ask nobody but this one.
"""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htr.rates import GUESSES_A_MINUTE, Rates, network
from serving.access import is_foreign, is_misnamed
from serving.web.offered import Cookies, find_offer

LOGIN = "/login"
WRONG_TOKEN = 400
"""How Gradio answers it."""
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
        guesses: counts wrong tokens by address; whoever gives the right one is let in whatever its neighbours do.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        loopback_only: bool,
        is_in: Callable[[Cookies], bool],
        guesses: Rates | None = None,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._loopback_only = loopback_only
        self._is_in = is_in
        self._guesses = Rates(GUESSES_A_MINUTE) if guesses is None else guesses

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
        is_login = scope["path"].rstrip("/") == LOGIN
        left, wait_s = self._max_bytes, 0

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:  # sent in pieces, without saying how much: as good as gone
                return {"type": "http.disconnect"}
            return message

        async def signed(message: Message) -> None:
            nonlocal wait_s
            if message["type"] == "http.response.start":
                if is_login and message["status"] == WRONG_TOKEN:
                    turn = self._guesses.take(network(scope["client"][0] if scope.get("client") else ""))
                    wait_s = turn.wait_s
                MutableHeaders(scope=message).update(HEADERS)
            if not wait_s:
                await send(message)

        await self._app(scope, counted, signed)
        if wait_s:  # instead of the answer that the token is wrong
            headers = {**HEADERS, "retry-after": str(wait_s)}
            told = PlainTextResponse("Too many wrong tokens: wait a while.", 429, headers=headers)
            await told(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> tuple[int, str] | None:
        headers = request.headers
        from_a_link = headers.get("sec-fetch-site") == "cross-site" and request.scope["path"] != "/"
        if is_foreign(headers) or from_a_link:
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
