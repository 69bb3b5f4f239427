import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from htr.errors import ServiceError
from monitoring.governor.events import Champion
from monitoring.governor.measures import PrometheusMeasures

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


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_a_prometheus_that_does_not_answer_is_named(url: str) -> None:
    with pytest.raises(ServiceError, match=f"Prometheus at {url}: .*; check --prometheus"):
        PrometheusMeasures(url).compare(NEW, 10.0)
