"""The prediction log of a real server: what is on disk after kill -9, after an orderly stop, and what it keeps."""

import base64
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from htr.image_log import FOLDER, read_images
from htr.prediction_log import read_log
from serving.prediction_log import LogPolicy, PredictionLog
from tests.conftest import line_png
from tests.drawn_pages import DrawnPage
from tests.servers import RunningServer, model_server, refused_start

V1 = "/v1/models/htr:predict"
PAGES = "/v1/models/pages:predict"
IMAGES = [line_png("first line"), line_png("the second one", seed=2), line_png("third", height=48, seed=3)]
FLUSH = timedelta(seconds=2)
"""Longest that a row waits before it is written: what a kill may cost."""
WRITING = timedelta(seconds=1.5)
"""For writing one file on a busy machine."""
FILE = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+-\d+\.parquet")


def body(*images: bytes) -> dict[str, Any]:
    return {"instances": [base64.b64encode(image).decode() for image in images]}


class Load:
    """Sends requests from two threads until it is told to stop or nobody answers any more."""

    def __init__(self, server: RunningServer) -> None:
        self.answered: dict[str, datetime] = {}
        """Request id -> when its answer was there."""
        self.other: list[int] = []
        """Status of what was not answered with 200."""
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(server.url, name)) for name in ("a", "b")]
        for thread in self._threads:
            thread.start()

    def _send(self, url: str, name: str) -> None:
        number = 0
        with httpx.Client(base_url=url, timeout=30) as http:
            while not self._enough.is_set():
                number += 1
                key = f"{name}-{number}"
                try:
                    answer = http.post(V1, json=body(*IMAGES), headers={"x-request-id": key})
                except httpx.HTTPError:  # it was killed
                    return
                if answer.status_code == 200:
                    self.answered[key] = datetime.now(UTC)
                else:
                    self.other.append(answer.status_code)

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()


def test_kill_9_under_load_costs_at_most_the_last_flush(tiny_bundle: Path, tmp_path: Path) -> None:
    with model_server("--bundle", str(tiny_bundle), "--log-dir", str(tmp_path), "--log-images", "0.5") as server:
        load = Load(server)
        time.sleep(7)
        killed = datetime.now(UTC)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(timeout=20)
        load.stop()
    assert len(load.answered) > 20
    finished = [file for file in tmp_path.rglob("*.parquet") if not file.name.startswith(".")]
    assert all(FILE.fullmatch(file.name) for file in finished)
    assert {file.parent.name for file in finished} == {tmp_path.name, FOLDER}
    assert all(len(pq.read_table(file)) for file in finished), "every finished file can be read"

    rows, images = read_log(tmp_path), list(read_images(tmp_path))
    ids = rows["request_id"].to_pylist()
    assert all(ids.count(one) == len(IMAGES) for one in set(ids)), "a request's rows are written together"
    due = {one for one, when in load.answered.items() if when < killed - FLUSH - WRITING}
    assert len(due) > 5
    assert due <= set(ids)
    sampler = PredictionLog(tmp_path / "sampler", policy=LogPolicy(image_share=0.5))
    sampled = {one for one in due if sampler.samples(one)}
    sampler.close()
    assert 0 < len(sampled) < len(due)
    assert sampled <= {one.request_id for one in images}
    assert {one.image for one in images} == set(IMAGES)

    before = len(rows)
    with model_server("--bundle", str(tiny_bundle), "--log-dir", str(tmp_path)) as server:
        assert httpx.post(server.url + V1, json=body(IMAGES[0]), timeout=30).status_code == 200
        assert server.stop() == 0
    assert len(read_log(tmp_path)) == before + 1, "the next server goes on in the same folder"


def test_after_an_orderly_stop_every_line_answered_is_on_disk_with_its_image(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with model_server("--bundle", str(tiny_bundle), "--log-dir", str(tmp_path), "--log-images", "1") as server:
        load = Load(server)
        page = DrawnPage(width=700)
        page.column(6, 60, words=5)
        answer = httpx.post(
            server.url + PAGES,
            json={**body(page.png()), "parameters": {"crops": True}},
            headers={"x-request-id": "page"},
            timeout=60,
        )
        time.sleep(2)
        load.stop()
        assert server.stop() == 0
        said = server.stderr.read_text()
    assert load.other == []
    accepted = len(load.answered) * len(IMAGES) + 6
    assert len(read_log(tmp_path)) == accepted
    assert f"prediction log: {accepted} rows written, 0 dropped" in said
    assert f"image log: {accepted} rows written, 0 dropped" in said
    kept = {one.position: one for one in read_images(tmp_path) if one.request_id == "page"}
    lines = answer.json()["predictions"][0]["pages"][0]["lines"]
    assert [kept[line["position"]].text for line in lines] == [line["text"] for line in lines]
    crops = [base64.b64decode(line["crop"]["b64"]) for line in lines]
    assert [kept[line["position"]].image for line in lines] == crops


def test_a_redacted_log_says_nothing_that_a_client_chose(tiny_bundle: Path, tmp_path: Path) -> None:
    with model_server("--bundle", str(tiny_bundle), "--log-dir", str(tmp_path), "--log-redact") as server:
        headers = {"x-request-id": "patient-4711"}
        assert httpx.post(server.url + V1, json=body(*IMAGES), headers=headers, timeout=30).status_code == 200
        assert server.stop() == 0
        assert "4711" not in server.stderr.read_text()
    rows = read_log(tmp_path)
    assert rows["position"].to_pylist() == [0, 1, 2]
    assert len(set(rows["request_id"].to_pylist())) == 1
    assert not (tmp_path / FOLDER).exists()
    for file in tmp_path.iterdir():
        assert b"4711" not in file.read_bytes()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--log-images", "0.5"], "give --log-dir"),
        (["--log-days", "3"], "give --log-dir"),
        (["--log-redact"], "give --log-dir"),
        (["--log-dir", "DIR", "--log-images", "1.5"], "a share of requests, 0 to 1"),
        (["--log-dir", "DIR", "--log-images", "nan"], "a share of requests, 0 to 1"),
        (["--log-dir", "DIR", "--log-days", "0"], "days above 0"),
        (["--log-dir", "DIR", "--log-images", "0.5", "--log-redact"], "leave --log-images away"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    tiny_bundle: Path, tmp_path: Path, args: list[str], says: str
) -> None:
    places = [str(tmp_path / "log") if one == "DIR" else one for one in args]
    code, error = refused_start("--bundle", str(tiny_bundle), *places)
    assert (code, says in error) == (2, True), error
    assert not (tmp_path / "log").exists()
