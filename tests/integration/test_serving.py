"""The server as users meet it: a process, its ports, its log and its end."""

import asyncio
import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from PIL import Image

from htr.prediction_log import read_log
from htr.recogniser import Recogniser
from tests.conftest import line_png
from tests.servers import (
    ROOT,
    ModelRegistry,
    RunningServer,
    model_server,
    refused_start,
    untaught_bundle,
    wait_until,
)

V1 = "/v1/models/htr:predict"
V2 = "/v2/models/htr/infer"
IMAGES = [line_png("first line"), line_png("the second one", seed=2), line_png("third", height=48, seed=3)]


def b64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def v1(*images: bytes) -> dict[str, Any]:
    return {"instances": [{"image": {"b64": b64(image)}} for image in images]}


def v2(*images: bytes, **changes: object) -> dict[str, Any]:
    data = [b64(image) for image in images]
    return {"inputs": [{"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": data, **changes}]}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server that follows an alias, and the registry behind it."""

    server: RunningServer
    http: httpx.Client
    registry: ModelRegistry
    recognisers: dict[str, Recogniser]
    """By bundle digest."""

    def texts(self, digest: str, images: list[bytes]) -> list[str]:
        return [reading.text for reading in self.recognisers[digest].read(images)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    registry = ModelRegistry(folder)
    bundles = [untaught_bundle(folder / f"bundle-{seed}", seed=seed) for seed in (1, 2)]
    registry.point("champion", registry.add_pyfunc(bundles[0]))
    registry.add_pyfunc(bundles[1])
    loaded = [Recogniser.load(bundle) for bundle in bundles]
    model = ("--model", "models:/quillflow@champion", "--tracking-uri", registry.uri, "--poll-s", "0.2")
    with (
        model_server(*model, "--cache-dir", str(folder / "cache")) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        yield Site(server=server, http=http, registry=registry, recognisers={one.digest: one for one in loaded})


def test_the_server_says_when_it_is_ready(site: Site) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/htr/ready", "/v1/models/htr"):
        assert site.http.get(path).status_code == 200
    assert site.server.url.startswith("http://127.0.0.1:")


def test_v1_answers_with_text_confidence_version_and_id(site: Site) -> None:
    answer = site.http.post(V1, json=v1(*IMAGES), headers={"x-request-id": "my-request"})
    body = answer.json()
    assert answer.status_code == 200
    assert [one["text"] for one in body["predictions"]] == site.texts(body["bundle_digest"], IMAGES)
    assert all(0 <= one["confidence"] <= 1 for one in body["predictions"])
    assert body["request_id"] == "my-request"
    assert body["model_version"] == "1"


def test_v1_takes_short_forms_and_any_content_type(site: Site) -> None:
    expected = site.http.post(V1, json=v1(IMAGES[0])).json()["predictions"]
    for instance in ({"b64": b64(IMAGES[0])}, b64(IMAGES[0])):
        assert site.http.post(V1, json={"instances": [instance]}).json()["predictions"] == expected
    body = f'{{"instances": ["{b64(IMAGES[0])}"]}}'
    for kind in ("application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"):
        answer = site.http.post(V1, content=body, headers={"content-type": kind})
        assert answer.json()["predictions"] == expected


def test_v2_answers_the_same_as_v1(site: Site) -> None:
    readings = site.http.post(V1, json=v1(*IMAGES)).json()["predictions"]
    body = site.http.post(V2, json={"id": "q-1", **v2(*IMAGES)}).json()
    text, confidence, verdicts = body["outputs"]
    assert (text["name"], text["datatype"], text["shape"]) == ("text", "BYTES", [3])
    assert text["data"] == [one["text"] for one in readings]
    assert (confidence["name"], confidence["datatype"]) == ("confidence", "FP32")
    assert confidence["data"] == pytest.approx([one["confidence"] for one in readings])
    assert verdicts["data"] == [",".join(one["verdicts"]) for one in readings]
    assert (body["id"], body["model_name"], body["model_version"]) == ("q-1", "htr", "1")
    assert body["parameters"]["request_id"] == "q-1"
    plain = site.http.post(V2, content=httpx.Request("POST", "http://x", json=v2(*IMAGES)).content)
    assert plain.json()["outputs"] == body["outputs"]


def test_v2_takes_binary_tensors_and_gives_the_outputs_asked_for(site: Site) -> None:
    tensor = InferInput("image", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(IMAGES[:2], dtype=np.object_))
    body, length = InferRequest("htr", [tensor]).to_rest()
    headers = {"inference-header-content-length": str(length), "content-type": "application/octet-stream"}
    binary = site.http.post(V2, content=body, headers=headers).json()
    assert binary["outputs"] == site.http.post(V2, json=v2(*IMAGES[:2])).json()["outputs"]
    some = site.http.post(V2, json={**v2(IMAGES[0]), "outputs": [{"name": "text"}]}).json()
    assert [output["name"] for output in some["outputs"]] == ["text"]


def ask_grpc(site: Site, images: list[bytes], *, raw: bool) -> Any:
    async def ask() -> Any:
        tensor = InferInput("image", [len(images)], "BYTES", data=list(images))
        if raw:
            tensor.set_data_from_numpy(np.array(images, dtype=np.object_))
        async with InferenceGRPCClient(site.server.grpc) as client:
            return await client.infer(InferRequest("htr", [tensor], request_id="g-1"))

    return asyncio.run(ask())


@pytest.mark.parametrize("raw", [False, True])
def test_grpc_answers_the_same_as_v1(site: Site, raw: bool) -> None:
    readings = site.http.post(V1, json=v1(*IMAGES)).json()["predictions"]
    answer = ask_grpc(site, IMAGES, raw=raw)
    text, confidence, verdicts = (output.as_numpy().tolist() for output in answer.outputs)
    assert [one.decode() for one in text] == [one["text"] for one in readings]
    assert confidence == pytest.approx([one["confidence"] for one in readings])
    assert [one.decode() for one in verdicts] == [",".join(one["verdicts"]) for one in readings]
    assert (answer.id, answer.model_version) == ("g-1", "1")


def test_grpc_refuses_a_bad_image_with_the_same_reason(site: Site) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        ask_grpc(site, [IMAGES[0], b"not an image"], raw=True)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith("instance 1: bytes are not an image")


@pytest.mark.parametrize("verb", ["load", "unload"])
@pytest.mark.parametrize("model", ["htr", "nobody"])
def test_no_client_can_take_the_model_away(site: Site, verb: str, model: str) -> None:
    refused = site.http.post(f"/v2/repository/models/{model}/{verb}")
    assert refused.status_code == 403
    assert re.fullmatch(r"models are not loaded .* alias .*", refused.json()["error"])
    kind = {"load": messages.RepositoryModelLoadRequest, "unload": messages.RepositoryModelUnloadRequest}[verb]
    with grpc.insecure_channel(site.server.grpc) as channel, pytest.raises(grpc.RpcError) as error:
        getattr(GRPCInferenceServiceStub(channel), f"RepositoryModel{verb.capitalize()}")(kind(model_name=model))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.value.details() == refused.json()["error"]
    assert site.http.get("/v2/models/htr/ready").status_code == 200
    assert site.http.post(V1, json=v1(IMAGES[0])).status_code == 200


def poster(width: int = 8000, height: int = 6000) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


BAD_REQUESTS = [
    (V1, b"", 400, "the body is not JSON"),
    (V1, b"{", 400, "the body is not JSON"),
    (V1, b"\xff\xfe", 400, "the body is not JSON"),
    (V1, b"[" * 100_000, 400, "the body is not JSON"),
    (V1, b"null", 400, "got None"),
    (V1, 3.5, 400, "got 3.5"),
    (V1, {}, 400, "expected .*instances"),
    (V1, {"instances": None}, 400, "is a list"),
    (V1, {"instances": []}, 400, "holds no image"),
    (V1, {"instances": [None]}, 400, "instance 0: expected"),
    (V1, {"instances": [{"image": {"b64": 7}}]}, 400, "instance 0: expected"),
    (V1, {"instances": ["%%%"]}, 400, "instance 0: not base64"),
    (V1, {"instances": [""]}, 400, "instance 0: image has no bytes"),
    (V1, v1(*IMAGES, b"not an image"), 400, "instance 3: bytes are not an image"),
    (V1, v1(IMAGES[0][:200]), 400, "instance 0: image is damaged"),
    (V1, v1(*IMAGES[:1] * 65), 413, "65 images in one request, at most 64"),
    (V1, v1(bytes(10 * 1024 * 1024 + 1)), 413, "instance 0: image has 10485761 bytes"),
    (V1, v1(poster()), 413, "instance 0: image .*pixels"),
    (V1, v1(*[poster(4000, 2000)] * 6), 413, "the images up to instance 5 have 48000000 pixels, at most 40000000"),
    (V2, v2(*[poster(4000, 2000)] * 6), 413, "the images up to instance 5 have 48000000 pixels, at most 40000000"),
    (V2, b"{", 400, "the body is not JSON"),
    (V2, b"null", 400, "not a V2 request"),
    (V2, {}, 400, "not a V2 request: inputs: Field required"),
    (V2, {"inputs": []}, 400, 'one input named "image"'),
    (V2, {"inputs": [{"name": "image"}]}, 400, "not a V2 request: inputs.0.shape: Field required"),
    (V2, v2(IMAGES[0], name="picture"), 400, "got .'picture'."),
    (V2, v2(IMAGES[0], datatype="FP32"), 400, "expected datatype BYTES"),
    (V2, v2(IMAGES[0], shape=[2]), 400, "does not fill shape"),
    (V2, v2(IMAGES[0], shape=[-1]), 400, "holds no image"),
    (V2, v2(IMAGES[0], data=[None]), 400, "instance 0: expected base64 text"),
    (V2, v2(*IMAGES, b"not an image"), 400, "instance 3: bytes are not an image"),
    (V2, {**v2(IMAGES[0]), "outputs": [{"name": "boxes"}]}, 400, "no .'boxes'."),
    (V2, {**v2(IMAGES[0]), "id": 7}, 400, "not a V2 request: id"),
    ("/v2/models/nobody/infer", v2(IMAGES[0]), 404, "no model 'nobody' here; ask for 'htr'"),
    ("/v1/models/nobody:predict", v1(IMAGES[0]), 404, "no model 'nobody' here; ask for 'htr'"),
]


@pytest.mark.parametrize(("path", "payload", "status", "reason"), BAD_REQUESTS)
def test_a_bad_request_is_refused_with_one_line_of_reason(
    site: Site, path: str, payload: object, status: int, reason: str
) -> None:
    if isinstance(payload, bytes):
        answer = site.http.post(path, content=payload, headers={"content-type": "application/json"})
    else:
        answer = site.http.post(path, json=payload)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert re.search(reason, error)
    assert "\n" not in error
    assert answer.json()["request_id"]
    assert answer.json()["bundle_digest"] in site.recognisers
    assert len(error) < 400


def test_a_body_over_the_limit_is_refused_before_it_is_read(site: Site) -> None:
    address = site.server.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(f"POST {V1} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_clients_faults_leave_no_traceback_in_the_servers_log(site: Site) -> None:
    assert site.http.post(V1, json={}).status_code == 400
    assert "Traceback" not in site.server.stderr.read_text()


def test_a_new_champion_takes_over_without_a_failed_request(site: Site) -> None:
    """Runs last on the shared server: it leaves another version behind."""
    answers: list[dict[str, Any]] = []
    failures: list[object] = []
    enough = threading.Event()

    def loop() -> None:
        with httpx.Client(base_url=site.server.url, timeout=30) as http:
            while not enough.is_set():
                answer = http.post(V1, json=v1(*IMAGES[:2]))
                (answers if answer.status_code == 200 else failures).append(answer.json())

    clients = [threading.Thread(target=loop) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(answers) > 10)
        site.registry.point("champion", "2")
        wait_until(lambda: answers[-1]["model_version"] == "2")
        after = len(answers)
        wait_until(lambda: len(answers) > after + 10)
    finally:
        enough.set()
        for client in clients:
            client.join()
    assert failures == []
    assert {answer["model_version"] for answer in answers} == {"1", "2"}
    for answer in answers:
        texts = [one["text"] for one in answer["predictions"]]
        assert texts == site.texts(answer["bundle_digest"], IMAGES[:2])


def test_at_sigterm_requests_in_flight_are_answered_and_every_reading_is_in_the_log(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (300, 3000), dtype=np.uint8)).save(out, "PNG")
    slow = json.dumps(v1(*[out.getvalue()] * 20)).encode()
    sent = threading.Event()

    def slow_body() -> Iterator[bytes]:
        yield slow
        sent.set()

    answers: list[httpx.Response] = []
    with model_server("--bundle", str(tiny_bundle), "--log-dir", str(tmp_path)) as server:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            answers += [http.post(V1, json=v1(*IMAGES)), http.post(V2, json=v2(*IMAGES))]
            assert http.post(V1, json=v1(IMAGES[0], b"bad")).status_code == 400
            in_flight = threading.Thread(target=lambda: answers.append(http.post(V1, content=slow_body())))
            in_flight.start()
            assert sent.wait(20)
            assert in_flight.is_alive(), "the slow request was meant to be still under way"
            assert server.stop() == 0
            in_flight.join()
        assert "Traceback" not in server.stderr.read_text()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(answers[2].json()["predictions"]) == 20
    rows = read_log(tmp_path)
    assert len(rows) == 3 + 3 + 20
    ids = [answers[0].json()["request_id"], answers[1].json()["id"], answers[2].json()["request_id"]]
    assert {row["request_id"] for row in rows.to_pylist()} == set(ids)
    assert set(rows["model_version"].to_pylist()) == {server.version}
    assert not list(tmp_path.glob(".*"))


def test_a_server_whose_output_nobody_reads_goes_on_serving(tiny_bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving", "--bundle", str(tiny_bundle), "--grpc_port", "0"]
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "stderr").open("w") as stderr:
        server = subprocess.Popen(
            [*command, "--http_port", str(port)], cwd=ROOT, stdout=writing, stderr=stderr, text=True
        )
    os.close(writing)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v2/models/htr/ready").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, timeout_s=60)
        server.terminate()
        assert server.wait(timeout=40) == 0
    finally:
        server.kill()
        server.wait()
    told = (tmp_path / "stderr").read_text()
    assert "BrokenPipe" not in told
    assert "Traceback" not in told


def test_what_cannot_work_is_one_message_and_exit_code_2(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bundle = ("--bundle", str(tiny_bundle))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = [
            (("--bundle", str(tmp_path)), "not a model bundle"),
            ((*bundle, "--log-dir", str(tmp_path / "file")), "prediction log cannot be written there"),
            ((*bundle, "--http_port", port), f"--http_port {port}: cannot be bound on 127.0.0.1"),
            ((*bundle, "--grpc_port", port), f"--grpc_port {port}: cannot be bound on 127.0.0.1"),
            ((*bundle, "--host", "::"), "give --token-file FILE or QUILLFLOW_TOKEN"),
            ((*bundle, "--token-file", str(tmp_path / "file")), "expected one word of at least 16"),
            (("--model", "quillflow"), "expected models:/NAME@ALIAS"),
            (("--model", "models:/q@champion", "--tracking-uri", "sqlite:///no.db"), "no such database"),
        ]
        for options, reason in cases:
            ports = [] if "_port" in "".join(options) else ["--http_port", "0", "--grpc_port", "0"]
            code, stderr = refused_start(*options, *ports)
            assert code == 2
            assert re.fullmatch(r"error: [^\n]+\n", stderr), stderr
            assert reason in stderr
