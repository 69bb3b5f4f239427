"""A proxy before a real MLflow that lets everything happen, and at chosen requests says that it did not."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PASSED = {"content-type", "accept", "authorization", "user-agent"}
Lie = Callable[[str, str, int], str]
"""Method, path and number of a request -> "" to tell the truth, ``lie``, ``slow`` or ``refuse``."""


@contextmanager
def lying_proxy(target: str, lie: Lie, *, slow_s: float = 1.0) -> Iterator[str]:
    """Serve a proxy until the block ends; yields its address.

    Args:
        target: address of the real server.
        lie: says how each request is answered: ``lie`` is done and answered with 500, ``refuse`` is not done and
            answered with 503, ``slow`` is done and answered late.
        slow_s: how late.
    """
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                how = lie(self.command, self.path, next(numbers))
            if how == "refuse":
                self._answer(503, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED}
            answer = httpx.request(self.command, target + self.path, content=body, headers=headers, timeout=60)
            if how == "slow":
                time.sleep(slow_s)
            if how == "lie":
                self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "it did not work (it did)"}')
            else:
                self._answer(answer.status_code, answer.content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
