"""The serving benchmark measures what it says, on servers that are real and a model that is tiny."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.serving_load import Answer, closed_loop, open_loop, percentile, statuses
from benchmarks.serving_soak import soak
from benchmarks.serving_targets import served
from tests.conftest import make_line
from tests.datasets import write_lines


class EveryThirdIsRefused(BaseHTTPRequestHandler):
    """Echoes the body; says 429 to every third request."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    count = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            type(self).count += 1
            refused = type(self).count % 3 == 0
        self.send_response(429 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    EveryThirdIsRefused.count = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), EveryThirdIsRefused) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_closed_loop_tries_a_refused_body_again(url: str) -> None:
    bodies = [json.dumps({"line": number}).encode() for number in range(5)]
    answers, took = closed_loop(url, "/", bodies, num_clients=1, seconds=0.3)
    assert took >= 0.3
    assert set(statuses(answers)) == {200, 429}
    assert all(answer.body == {"line": answer.line} for answer in answers)
    accepted = [answer.line for answer in answers if answer.status == 200]
    assert accepted == [number % 5 for number in range(len(accepted))]


def test_an_open_loop_keeps_to_its_rate_whatever_is_answered(url: str) -> None:
    answers = open_loop(url, "/", [b"{}"], per_second=200, seconds=0.5, num_clients=8, seed=1)
    assert 60 <= len(answers) <= 140
    again = open_loop(url, "/", [b"{}"], per_second=200, seconds=0.5, num_clients=8, seed=1)
    assert len(again) == len(answers)


def test_percentiles_are_of_the_answers() -> None:
    answers = [Answer(line=0, status=200, seconds=float(number)) for number in range(1, 101)]
    assert percentile(answers, 0.5) == 51
    assert percentile(answers, 0.99) == 100
    assert percentile([], 0.5) == 0


def test_served_plain_and_in_process_are_measured_in_one_run_and_read_the_same(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = write_lines(tmp_path / "lines", [make_line(f"line {number}", number) for number in range(4)])
    options = ["--bundle", str(tiny_bundle), "--lines", str(lines.path), "--seconds", "0.3"]
    code = serving.main([*options, "--concurrency", "1,2", "--threads", "1"])
    table, _, found = capsys.readouterr().out.partition("\n{")
    facts = json.loads("{" + found)
    assert (code, facts["texts_that_differ"], facts["lines"]) == (0, 0, 4)
    assert [row["clients"] for row in facts["throughput"]] == [1, 2]
    assert len(table.splitlines()) == 3
    for row in facts["throughput"]:
        assert set(row["served"]["statuses"]) == set(row["plain"]["statuses"]) == {"200"}
        assert row["served_over_plain"] > 0
    assert facts["overhead_ms"]["served"]["p50"] > 0


def test_an_answer_of_another_text_is_counted() -> None:
    right = Answer(line=0, status=200, seconds=0.1, body={"predictions": [{"text": "Łódź"}]})
    wrong = Answer(line=1, status=200, seconds=0.1, body={"readings": [{"text": "Lodz"}]})
    assert serving.differing([right, wrong], ["Łódź", "Łódź"]) == 1


def test_a_soak_accounts_for_every_line(tiny_bundle: Path, tmp_path: Path) -> None:
    body = json.dumps({"instances": [base64.b64encode(make_line("a line").image).decode()]}).encode()
    with served(tiny_bundle, tmp_path, threads=1) as target:
        found = soak(target, [body], minutes=0.02, rate=3, seed=1, calibrate_s=0.2, log=tmp_path / "log")
    assert found["log_rows"] + found["log_dropped"] == found["lines_answered"] > 0
    timed = [name for name in found["checks"] if name.startswith(("p99", "sent", "some"))]  # as the machine goes
    assert len(timed) == 3
    assert all(holds for name, holds in found["checks"].items() if name not in timed)
