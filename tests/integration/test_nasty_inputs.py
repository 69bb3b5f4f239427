"""Every nasty input through the real server: each is answered as nasty_inputs.csv says, and nothing breaks."""

import base64
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from htr.recogniser import Recogniser
from tests.nasty_bodies import V1_BODIES, V2_BODIES
from tests.nasty_images import IMAGES, PLAIN
from tests.servers import ROOT, RunningServer, model_server

V1 = "/v1/models/htr:predict"
V2 = "/v2/models/htr/infer"
with (ROOT / "tests/nasty_inputs.csv").open(encoding="utf-8", newline="") as table:
    ROWS = list(csv.DictReader(table))
IMAGE_ROWS = [row for row in ROWS if row["sent_as"] == "image"]
BODY_ROWS = [row for row in ROWS if row["sent_as"] != "image"]
MOST_GROWTH_KIB = 400 * 1024
"""Memory that the worst of them may cost; a bomb that was decoded would cost gigabytes."""


def peak_kib(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[RunningServer]:
    with model_server("--bundle", str(tiny_bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        before = peak_kib(server)
        yield client
        assert client.post(V1, json={"instances": [b64(PLAIN)]}).status_code == 200
        assert "Traceback" not in server.stderr.read_text()
        assert peak_kib(server) - before < MOST_GROWTH_KIB


@pytest.fixture(scope="module")
def recogniser(tiny_bundle: Path) -> Recogniser:
    return Recogniser.load(tiny_bundle)


def b64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def check_refusal(answer: httpx.Response, row: dict[str, str]) -> None:
    body = answer.json()
    assert re.search(row["says"], body["error"]), body["error"]
    assert body.get("verdict", "") == row["verdicts"]
    assert set(body) >= {"error", "code", "model_version", "request_id", "bundle_digest"}
    assert "\n" not in body["error"]
    assert len(body["error"]) < 400
    leaks = r"Traceback|Error\(|Exception|0x[0-9a-f]{6}|\.py\b|site-packages"
    assert not re.search(leaks, body["error"])


def test_the_table_and_the_generators_know_the_same_inputs() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) >= 40
    assert {row["name"] for row in IMAGE_ROWS} == set(IMAGES)
    assert {row["name"] for row in BODY_ROWS} == V1_BODIES.keys() | V2_BODIES.keys()


@pytest.mark.parametrize("row", IMAGE_ROWS, ids=lambda row: row["name"])
def test_an_image(row: dict[str, str], http: httpx.Client, recogniser: Recogniser) -> None:
    image = IMAGES[row["name"]]()
    first = http.post(V1, json={"instances": [b64(image)]})
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64(image)]}
    second = http.post(V2, json={"inputs": [tensor]})
    assert (first.status_code, second.status_code) == (int(row["status"]),) * 2, first.text
    if row["status"] != "200":
        check_refusal(first, row)
        check_refusal(second, row)
        partial = http.post(V1, json={"instances": [b64(image), b64(PLAIN)], "parameters": {"partial": True}})
        assert [" ".join(one["verdicts"]) for one in partial.json()["predictions"]] == [row["verdicts"], "ok"]
        return
    (prediction,) = first.json()["predictions"]
    outputs = {output["name"]: output["data"] for output in second.json()["outputs"]}
    assert set(prediction["verdicts"]) == set(row["verdicts"].split())
    assert outputs["verdicts"] == [",".join(prediction["verdicts"])]
    (expected,) = recogniser.read([PLAIN if row["says"] == "as plain" else image])
    assert prediction["text"] == outputs["text"][0] == expected.text


@pytest.mark.parametrize("row", BODY_ROWS, ids=lambda row: row["name"])
def test_a_body(row: dict[str, str], http: httpx.Client) -> None:
    body: Any = (V1_BODIES if row["sent_as"] == "v1" else V2_BODIES)[row["name"]]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = V1 if row["sent_as"] == "v1" else V2
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == int(row["status"]), answer.text
    if row["status"] == "200":
        assert answer.json().get("predictions") or answer.json()["outputs"]
    else:
        check_refusal(answer, row)
