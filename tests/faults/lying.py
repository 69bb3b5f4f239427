"""A proxy before a real server that is slow, refuses, cuts the line, or lies, at requests that a test chooses."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = {
    "refuse": "not done, answered with 503",
    "lie": "done, answered with 500",
    "slow": "done, answered late",
    "hang up": "not done, the line is cut before an answer",
    "cut": "done, the line is cut before an answer",
    "short": "done, the line is cut in the middle of the answer's body",
    "wrong": "done, a byte of the answer's body is another",
    "page": "not done, answered with 200 and a page of HTML, as a proxy that wants a login does",
}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
Lie = Callable[[str, str, int], str]
"""Method, path and number of a request -> "" to tell the truth, or one of FAULTS."""


@contextmanager
def lying_proxy(target: str, lie: Lie, *, slow_s: float = 1.0) -> Iterator[str]:
    """Serve a proxy until the block ends; yields its address.

    What is passed on keeps its headers, Host among them: a signed request stays signed.

    Args:
        target: address of the real server.
        lie: says how each request is answered.
        slow_s: how late a slow answer is.
    """
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                how = lie(self.command, self.path, next(numbers))
            assert how in {"", *FAULTS}, how
            if how == "hang up":
                self._cut()
                return
            if how == "refuse":
                self._answer(503, {}, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
                return
            if how == "page":
                self._answer(200, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")
                return
            status, headers, answer = _ask(target, self.command, self.path, dict(self.headers.items()), body)
            if how == "slow":
                time.sleep(slow_s)
            if how == "cut":
                self._cut()
            elif how == "lie":
                self._answer(500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "it did not work (it did)"}')
            elif how == "wrong" and answer:
                middle = len(answer) // 2
                self._answer(status, headers, answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :])
            elif how == "short" and len(answer) > 1:
                self._answer(status, headers, answer[: len(answer) // 2], length=len(answer))
                self._cut()
            else:
                self._answer(status, headers, answer)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _pass_on

        def _answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
            self.send_response_only(status)
            if not headers:
                self.send_header("Content-Type", "application/json")
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if self.command == "HEAD":
                self.send_header("Content-Length", headers.get("Content-Length", "0"))
                body = b""
            elif status != 204:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            with suppress(OSError):  # whoever asked has given up
                self.wfile.write(body)

        def _cut(self) -> None:
            """Reset the connection, as a machine that goes down does."""
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def finish(self) -> None:
            with suppress(OSError, ValueError):  # it was cut
                super().finish()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _ask(
    target: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Pass a request on as it is, and return status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
