"""A real server with a token, one thread and one place to wait: who gets in, and what the others hear."""

import asyncio
import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from PIL import Image

from tests.conftest import line_png
from tests.servers import RunningServer, model_server

T = TypeVar("T")
V1 = "/v1/models/htr:predict"
SECRET = "correct-horse-battery-staple"  # noqa: S105
BEARER = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(SECRET)
    flags = ("--bundle", str(tiny_bundle), "--threads", "1", "--queue", "1", "--token-file", str(file))
    with model_server(*flags) as running:
        yield running


def body(*images: bytes) -> bytes:
    return json.dumps({"instances": [base64.b64encode(image).decode() for image in images]}).encode()


def slow_images() -> list[bytes]:
    """Return images of few bytes that take a second or so to read one after another."""
    grey = np.full((1000, 4000), 235, np.uint8)
    grey[250:750, ::40] = 20
    out = io.BytesIO()
    Image.fromarray(grey).convert("RGBA").save(out, "PNG")  # laid on white paper, which takes longest
    return [out.getvalue()] * 9


def ask_grpc(
    server: RunningServer, *images: bytes, connected: threading.Event | None = None, **metadata: Any
) -> Any:
    async def ask() -> Any:
        tensor = InferInput("image", [len(images)], "BYTES", data=list(images))
        async with InferenceGRPCClient(server.grpc) as client:
            assert await client.is_server_live()
            if connected is not None:
                connected.set()
            return await client.infer(InferRequest("htr", [tensor], request_id="g"), **metadata)

    return asyncio.run(ask())


def at_once(send: Callable[[], T], times: int) -> list[T]:
    """Do the same in several threads; return what came of it in the order in which they ended."""
    done: list[T] = []
    threads = [threading.Thread(target=lambda: done.append(send())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_only_who_has_the_token_is_answered(server: RunningServer) -> None:
    with httpx.Client(base_url=server.url) as http:
        for path in ("/v2/models", "/v2/models/htr", "/metrics", "/openapi.json"):
            assert http.get(path).status_code == 401
            assert http.get(path, headers=BEARER).status_code == 200
        for path in ("/", "/v2/health/live", "/v2/health/ready", "/v2/models/htr/ready"):
            assert http.get(path).status_code == 200
        document = http.get("/openapi.json", headers=BEARER).json()
        assert document["security"] == [{"token": []}]
        assert document["paths"]["/v2/health/ready"]["get"]["security"] == []
        refused = http.post(V1, content=body(line_png("a line")))
        assert refused.status_code == 401
        assert refused.json()["code"] == "token"
        assert http.post(V1, content=body(line_png("a line")), headers=BEARER).status_code == 200
    assert SECRET not in server.stderr.read_text()


def test_grpc_wants_the_token_too(server: RunningServer) -> None:
    for metadata in ({}, {"headers": [("authorization", "Bearer wrong")]}):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            ask_grpc(server, line_png("a line"), **metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert ask_grpc(server, line_png("a line"), headers=[("authorization", f"Bearer {SECRET}")]).id == "g"


def test_what_is_over_is_refused_at_once_while_the_others_are_read(server: RunningServer) -> None:
    """One is read and one waits: of three that come together, one is refused, long before the others are done."""
    slow, healthy = body(*slow_images()), []

    def send() -> httpx.Response:
        with httpx.Client(base_url=server.url, timeout=60, headers=BEARER) as http:
            answer = http.post(V1, content=slow)
            healthy.append(http.get("/v2/health/ready").status_code)
            return answer

    done = at_once(send, 3)
    assert [answer.status_code for answer in done] == [429, 200, 200]
    assert healthy == [200, 200, 200]
    assert done[0].elapsed < done[1].elapsed / 2
    assert int(done[0].headers["retry-after"]) >= 1
    assert done[0].json()["code"] == "busy"
    assert [len(answer.json()["predictions"]) for answer in done[1:]] == [9, 9]
    with httpx.Client(base_url=server.url, headers=BEARER) as http:
        assert http.post(V1, content=body(line_png("a line"))).status_code == 200


def test_grpc_refuses_what_is_over_as_well(server: RunningServer) -> None:
    images = slow_images()

    def send() -> grpc.StatusCode:
        try:
            ask_grpc(server, *images, headers=[("authorization", f"Bearer {SECRET}")])
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    assert at_once(send, 3) == [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OK, grpc.StatusCode.OK]


def test_at_sigterm_what_is_read_and_what_waits_are_answered_over_http_and_grpc(server: RunningServer) -> None:
    """Runs last: it ends the server."""
    images, sent, connected = slow_images(), threading.Event(), threading.Event()
    whole = body(*images)
    answers: list[httpx.Response] = []
    codes: list[str] = []

    def slow_body() -> Iterator[bytes]:
        yield whole
        sent.set()

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=60, headers=BEARER) as http:
            answers.append(http.post(V1, content=slow_body()))

    def call() -> None:
        metadata = [("authorization", f"Bearer {SECRET}")]
        codes.append(ask_grpc(server, *images, connected=connected, headers=metadata).id)

    clients = [threading.Thread(target=send), threading.Thread(target=call)]
    clients[0].start()
    assert sent.wait(20)
    clients[1].start()
    assert connected.wait(20)
    time.sleep(0.3)  # a call says nothing of when it has arrived; each takes a second or so to answer
    assert [client.is_alive() for client in clients] == [True, True]
    assert server.stop() == 0
    for client in clients:
        client.join()
    assert [answer.status_code for answer in answers] == [200]
    assert codes == ["g"]
