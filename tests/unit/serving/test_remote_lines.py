"""Lines read by another server: what it says is passed on, what it cannot do now is waited for or refused."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from htr.errors import SettingsError
from htr.layout.crop import Crop, crop
from htr.layout.geometry import PageLine
from serving.access import Token
from serving.admission import Check
from serving.line_source import ModelSwappedError
from serving.refusals import BusyError, PredictorAwayError, ReadingFailedError, TooSlowError
from serving.remote_lines import AWAY_S, LINES_AT_ONCE, RemoteSource
from serving.wanted import Wanted

PAGE = np.full((400, 300), 200, np.uint8)
LINES = [
    PageLine(polygon=((10, y), (280, y), (280, y + 30), (10, y + 30)), baseline=((10, y + 25), (280, y + 25)))
    for y in range(10, 370, 36)
]
Answer = tuple[int, dict[str, str], Any]
Seen = dict[str, Any]


def read(digest: str = "sha256:a") -> Callable[[Seen], Answer]:
    """Answer as the line route does: each line reads as its place in the request."""

    def answer(seen: Seen) -> Answer:
        body = seen["body"]
        first = body.get("parameters", {}).get("first_position", 0)
        texts = [str(first + at) for at in range(len(body["instances"]))]
        predictions = [{"text": text, "confidence": 0.5, "verdicts": ["ok"], "characters": []} for text in texts]
        stamp = {"model_version": "1", "request_id": seen["id"] or "x", "bundle_digest": digest}
        return 200, {}, {"predictions": predictions, **stamp}

    return answer


@contextmanager
def predictor(answers: Callable[[int, Seen], Answer]) -> Iterator[tuple[str, list[Seen]]]:
    """Serve what a function says to the n-th request; yields the address and what was asked."""
    asked: list[Seen] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen = {
                "path": self.path,
                "id": self.headers.get("X-Request-Id"),
                "token": self.headers.get("Authorization"),
                "body": body,
            }
            with lock:
                asked.append(seen)
                number = len(asked) - 1
            status, headers, content = answers(number, seen)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def source_at(url: str, **more: Any) -> Iterator[RemoteSource]:
    source = RemoteSource(url, model="htr", **more)
    try:
        yield source
    finally:
        source.close()


def read_page(source: RemoteSource, check: Check = lambda: None, wanted: Wanted | None = None) -> list[str]:
    def cut(line: PageLine) -> Crop:
        return crop(PAGE, line)

    def finish(_: PageLine, __: Crop, said: dict[str, Any]) -> str:
        return str(said["text"])

    return source.open("r-1", wanted or Wanted()).read(LINES, cut, finish, check)


def test_lines_come_back_in_order_and_keep_their_places_and_the_requests_id() -> None:
    with predictor(lambda _, seen: read()(seen)) as (url, asked), source_at(url, token=Token(b"x" * 16)) as source:
        assert read_page(source, wanted=Wanted(alternatives=3)) == [str(n) for n in range(len(LINES))]
        assert {seen["path"] for seen in asked} == {"/v1/models/htr:predict"}
        assert {seen["id"] for seen in asked} == {"r-1"}
        assert {seen["token"] for seen in asked} == {f"Bearer {'x' * 16}"}
        assert all(seen["body"]["parameters"]["alternatives"] == 3 for seen in asked)
        assert max(len(seen["body"]["instances"]) for seen in asked) == LINES_AT_ONCE
        lines = source.open("r-2", Wanted())
        assert lines.stamp.request_id == "r-2", "a page without lines is signed as the last one was"
        assert lines.stamp.bundle_digest == "sha256:a"


def test_a_busy_predictor_is_passed_on_where_nothing_was_read() -> None:
    busy = (429, {"Retry-After": "7"}, {"error": "busy"})
    with (
        predictor(lambda *_: busy) as (url, _),
        source_at(url, at_once=1) as source,
        pytest.raises(BusyError) as refused,
    ):
        read_page(source)
    assert refused.value.retry_after_s == 7


def test_a_busy_predictor_is_waited_for_where_half_a_page_was_read() -> None:
    paused: list[float] = []

    def answers(number: int, seen: Seen) -> Answer:
        return (429, {"Retry-After": "2"}, {}) if number in {1, 2} else read()(seen)

    with predictor(answers) as (url, asked), source_at(url, at_once=1, pause=paused.append) as source:
        assert read_page(source) == [str(n) for n in range(len(LINES))]
        assert paused == [2, 2]
        assert len(asked) == 5


def test_a_predictor_that_stays_busy_is_given_up_when_time_is_up() -> None:
    paused: list[float] = []

    def check() -> None:
        if len(paused) > 3:
            raise TooSlowError("not answered within 30 s")

    def answers(number: int, seen: Seen) -> Answer:
        return (429, {}, {}) if number else read()(seen)

    with (
        predictor(answers) as (url, _),
        source_at(url, at_once=1, pause=paused.append) as source,
        pytest.raises(TooSlowError),
    ):
        read_page(source, check)


def test_a_predictor_that_is_away_is_a_503_that_says_when_to_come_back() -> None:
    with source_at("http://127.0.0.1:9") as source, pytest.raises(PredictorAwayError) as away:
        read_page(source)
    assert (away.value.status, away.value.retry_after_s) == (503, AWAY_S)
    assert "127.0.0.1" not in str(away.value.details)
    unready = (503, {"Retry-After": "11"}, {})
    with (
        predictor(lambda *_: unready) as (url, _),
        source_at(url) as source,
        pytest.raises(PredictorAwayError) as told,
    ):
        read_page(source)
    assert told.value.retry_after_s == 11


@pytest.mark.parametrize("content", [b"<html>a proxy</html>", b"[]", b'{"predictions": []}'])
def test_what_should_not_be_is_told_to_our_log_alone(content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with predictor(lambda *_: (400, {}, content)) as (url, _), source_at(url) as source:
        with pytest.raises(ReadingFailedError) as failed:
            read_page(source)
        assert failed.value.details == "internal error, request id r-1"
        assert "status 400" in caplog.text


def test_two_models_never_read_one_request() -> None:
    def answers(number: int, seen: Seen) -> Answer:
        return read("sha256:b" if number > 1 else "sha256:a")(seen)

    with predictor(answers) as (url, _), source_at(url, at_once=1) as source, pytest.raises(ModelSwappedError):
        read_page(source)


def test_a_predictor_is_met_before_pages_are_taken() -> None:
    refusal = {"error": "no image", "model_version": "7", "request_id": "x", "bundle_digest": "sha256:c"}
    with predictor(lambda *_: (400, {}, refusal)) as (url, asked), source_at(url) as source:
        source.meet()
        assert asked[0]["body"] == {"instances": []}
        assert source.stamp("mine").model_version == "7"
    for status, says in ((401, "--predictor-token-file"), (404, "--predictor-model")):
        answer = (status, {}, refusal)
        with (
            predictor(lambda *_, answer=answer: answer) as (url, _),  # type: ignore[misc]
            source_at(url) as source,
            pytest.raises(SettingsError, match=says),
        ):
            source.meet()
    with (
        predictor(lambda *_: (502, {}, b"bad gateway")) as (url, _),
        source_at(url) as source,
        pytest.raises(PredictorAwayError),
    ):
        source.meet()
