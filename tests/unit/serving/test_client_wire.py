"""What a client is told by a server that says no for now."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.client_wire import TIMED_OUT, TRIES, UnreachableError, Wire


class TooSlow(BaseHTTPRequestHandler):
    """Answers as our server does when a request's time is up."""

    def do_GET(self) -> None:
        body = json.dumps({"error": "not answered within 30 s", "code": "too_slow"}).encode()
        self.send_response(503)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), TooSlow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_why_a_server_cannot_now_and_when_to_come_back_is_told(url: str) -> None:
    waited: list[float] = []
    with pytest.raises(UnreachableError, match="not answered within 30 s") as caught:
        Wire(url, wait=waited.append).call("GET", "/v1/corrections")
    assert (caught.value.code, caught.value.after_s) == ("too_slow", 7.0)
    assert waited == [7.0] * (TRIES - 1)


def test_who_is_silent_for_too_long_is_told_from_who_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes what is sent, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="cannot be reached") as caught:
            Wire(url, timeout_s=0.05, wait=lambda _: None).call("GET", "/v1/corrections")
    assert caught.value.code == TIMED_OUT
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        Wire(url, wait=lambda _: None).call("GET", "/v1/corrections")
    assert caught.value.code == ""
