import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from htr.errors import ServiceError
from monitoring.commands_loop import estimated
from monitoring.governor.events import Champion
from monitoring.governor.measures import PrometheusMeasures
from tests.fakes import NOON

NEW = Champion(version="2", digest="sha256:b", previous="1", previous_digest="sha256:a")


@contextmanager
def answering(values: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Serve Prometheus' query API: the value of the first key that a query holds; yields address and queries."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            asked.append(query)
            value = next((value for key, value in values.items() if key in query), None)
            result: list[Any] = [] if value is None else [{"metric": {}, "value": [0, value]}]
            data = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_both_champions_are_measured_each_over_its_own_time() -> None:
    values = {"doubt_sum": "0.2", "readings_total": "500", "bucket": "NaN", "measured_cer": "0.1"}
    with answering(values) as (url, asked):
        now, before = PrometheusMeasures(url).compare(NEW, 3600.0)
    assert (now.readings, now.doubt, now.cer) == (500.0, 0.2, 0.1)
    assert now.latency is None, "a quantile of nothing is NaN"
    assert now.error_rate is None, "no request: no rate"
    assert before == now
    assert any('model_version="2"' in query and "[3600s]" in query for query in asked)
    assert any('model_version="1"' in query and f"[{7 * 86400 + 3600}s]" in query for query in asked)
    assert any('bundle_digest="sha256:a"' in query for query in asked)


@contextmanager
def breaking_off(answer: bytes) -> Iterator[str]:
    """Answer every connection with these bytes and close it; yields the address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", b"so it goes\r\n\r\n"])
def test_an_answer_that_breaks_off_is_a_trouble_of_the_service(answer: bytes) -> None:
    with breaking_off(answer) as url:
        with pytest.raises(ServiceError, match="check --prometheus"):
            PrometheusMeasures(url).compare(NEW, 10.0)
        with pytest.raises(ServiceError, match="check --prometheus"):
            estimated(url, NOON, NOON)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_a_prometheus_that_does_not_answer_is_named(url: str) -> None:
    with pytest.raises(ServiceError, match=f"Prometheus at {url}: .*; check --prometheus"):
        PrometheusMeasures(url).compare(NEW, 10.0)
