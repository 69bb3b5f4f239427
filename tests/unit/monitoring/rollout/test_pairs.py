"""Paired lines: of image logs as servers write them, and of a dataset sent to two servers over HTTP."""

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from htr.errors import DataError, ServiceError
from monitoring.rollout.guards import Pairs
from monitoring.rollout.pairs import SETTLED_S, LoggedPairs, Probes
from serving.prediction_log import LogPolicy, PredictionLog
from tests.conftest import make_line
from tests.datasets import write_lines

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Mirrored:
    """Two servers' logs, written by the server's own writer, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, NOON
        for arm in ("stable", "canary"):
            PredictionLog(folder / arm, policy=LogPolicy(image_share=1.0)).close()

    def log(self, arm: str, texts: dict[tuple[str, int], str], *, at: float) -> None:
        """Write what a server read, so many seconds after noon."""
        log = PredictionLog(self.folder / arm, policy=LogPolicy(image_share=1.0), clock=lambda: self.now)
        log.append_images(
            [
                {
                    "time": NOON + timedelta(seconds=at),
                    "request_id": request,
                    "position": position,
                    "model_version": arm,
                    "bundle_digest": "sha256:0",
                    "text": text,
                    "confidence": 0.5,
                    "image": f"{request} {position}".encode(),
                }
                for (request, position), text in texts.items()
            ]
        )
        log.close()
        self.now += timedelta(seconds=1)  # files are named by it

    def compare(self, cursor: str, *, at: float, most: int = 50) -> tuple[Pairs, str]:
        pairs = LoggedPairs(
            stable=self.folder / "stable",
            canary=self.folder / "canary",
            clock=lambda: NOON + timedelta(seconds=at),
        )
        found = pairs.compare(cursor, most)
        assert not found.is_all, "more may be mirrored at any time"
        return found.pairs, found.cursor


def test_a_line_that_both_logs_hold_is_compared_once_and_one_that_only_one_holds_never(tmp_path: Path) -> None:
    mirrored = Mirrored(tmp_path)
    mirrored.log("stable", {("before", 0): "x"}, at=-90)
    mirrored.log("canary", {("before", 0): "y"}, at=-90)
    pairs, cursor = mirrored.compare("", at=0)
    assert pairs == Pairs(), "the first look only sets the time"
    mirrored.log("stable", {("a", 0): "one", ("a", 1): "two", ("lost", 0): "three"}, at=10)
    mirrored.log("canary", {("a", 0): "one", ("a", 1): "too", ("other", 0): "three"}, at=12)
    pairs, cursor = mirrored.compare(cursor, at=12 + SETTLED_S)
    assert pairs == Pairs(compared=2, differ=1)
    pairs, cursor = mirrored.compare(cursor, at=20 + SETTLED_S)
    assert pairs == Pairs()


def test_a_pair_waits_until_its_later_row_has_settled_and_is_counted_though_that_one_came_late(
    tmp_path: Path,
) -> None:
    mirrored = Mirrored(tmp_path)
    _, cursor = mirrored.compare("", at=SETTLED_S)
    mirrored.log("stable", {("a", 0): "one"}, at=5)
    pairs, cursor = mirrored.compare(cursor, at=20 + SETTLED_S)
    assert pairs == Pairs(), "its other half is not there yet"
    mirrored.log("canary", {("a", 0): "won"}, at=30)
    pairs, cursor = mirrored.compare(cursor, at=25 + SETTLED_S)
    assert pairs == Pairs(), "the canary's row is too young"
    pairs, cursor = mirrored.compare(cursor, at=40 + SETTLED_S)
    assert pairs == Pairs(compared=1, differ=1)


def test_more_than_a_look_takes_is_left_to_the_next_and_no_line_of_a_request_is_lost(tmp_path: Path) -> None:
    mirrored = Mirrored(tmp_path)
    _, cursor = mirrored.compare("", at=SETTLED_S)
    for number in range(1, 5):
        lines = {(f"page {number}", position): f"{position}" for position in range(3)}
        mirrored.log("stable", lines, at=number)
        mirrored.log("canary", {place: text + "!" * (number == 2) for place, text in lines.items()}, at=number)
    looks = []
    for _ in range(4):
        pairs, cursor = mirrored.compare(cursor, at=100 + SETTLED_S, most=4)
        looks.append((pairs.compared, pairs.differ))
    assert looks == [(6, 3), (6, 0), (0, 0), (0, 0)]


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prediction log there; start the server with --log-dir"):
        LoggedPairs(stable=tmp_path / "a", canary=tmp_path / "b").compare(NOON.isoformat(), 10)


@contextlib.contextmanager
def reader(texts: dict[str, str], token: str = "") -> Iterator[str]:
    """Serve a model that reads what it was told to read on each image; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            images = [base64.b64decode(one["image"]["b64"]) for one in body["instances"]]
            allowed = not token or self.headers["Authorization"] == f"Bearer {token}"
            found = [{"text": texts[image.hex()]} for image in images]
            data = json.dumps({"predictions": found}).encode()
            self.send_response(200 if allowed and self.path == "/v1/models/htr:predict" else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_probes_are_the_test_lines_of_a_dataset_each_sent_to_both_once(tmp_path: Path) -> None:
    lines = [make_line(f"line {number}", number, split="test" if number < 12 else "train") for number in range(14)]
    dataset = write_lines(tmp_path / "lines", lines)
    right = {line.image.hex(): line.text for line in lines}
    wrong = {**right, lines[0].image.hex(): "lime 0", lines[1].image.hex(): "lime 1"}
    other = {**right, lines[1].image.hex(): "vine 1", lines[2].image.hex(): "lime 2"}
    (tmp_path / "token").write_text("a-token-of-sixteen\n")
    with reader(other, "a-token-of-sixteen") as stable, reader(wrong) as canary:
        probes = Probes(lines=dataset.path, stable=stable, canary=canary, token_file=tmp_path / "token")
        first = probes.compare("", 10)
        # Line 0 only the stable server reads right, line 2 only the canary; line 1 neither, each in its way.
        assert first.pairs == Pairs(compared=10, differ=3, only_stable=1, only_canary=1)
        assert not first.is_all
        rest = probes.compare(first.cursor, 10)
        assert rest.pairs == Pairs(compared=2)
        assert rest.is_all, "there are twelve test lines"
    with pytest.raises(ServiceError, match="the paired lines are compared at the next look"):
        probes.compare("", 10)
