import json
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from htr.errors import ServiceError
from monitoring.commands_loop import estimated
from monitoring.governor.events import Champion
from monitoring.governor.measures import PrometheusMeasures
from serving.served import serve_bundle
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
    assert any('model_version=~"2|b"' in query and "[3600s]" in query for query in asked)
    assert any('model_version=~"1|a"' in query and f"[{7 * 86400 + 3600}s]" in query for query in asked)
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


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (tests/debian-packages.sh)")
@pytest.mark.parametrize("told_a_digest", [True, False], ids=["told a bundle, on a cluster", "follows the alias"])
def test_prometheus_finds_what_a_server_counted_of_the_champion_and_no_other(
    tmp_path: Path, tiny_bundle: Path, *, told_a_digest: bool
) -> None:
    served = serve_bundle(tiny_bundle, version="" if told_a_digest else "2")
    champion = replace(NEW, digest=served.recogniser.digest)
    with answering({}) as (url, asked):
        PrometheusMeasures(url).compare(champion, 3600.0)
    others = ["1", "12", "22", "2.1", "0" * 12]
    lines_a_minute = {served.version: 3, **dict.fromkeys(others, 7)}
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'quillflow_readings_total{{model_version="{name}"}}', "values": f"0+{number}x200"}
            for name, number in lines_a_minute.items()
        ],
        "promql_expr_test": [
            {"expr": asked[0], "eval_time": "120m", "exp_samples": [{"labels": "{}", "value": 3 * 60}]}
        ],
    }
    (tmp_path / "test.yaml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_champion_without_a_known_digest_goes_by_its_version_alone() -> None:
    with answering({}) as (url, asked):
        PrometheusMeasures(url).compare(Champion(version="2", digest="version 2"), 3600.0)
    assert 'model_version=~"2"' in asked[0]
