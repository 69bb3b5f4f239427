import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from serving.guard import Guard, LineDataPlane, install
from serving.protocol import Limits, RequestError, images_from_v2

LIMITS = Limits(max_body_bytes=1000)


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"size": len(await request.body()), "id": request.headers["x-request-id"]}

    @app.post("/fail")
    async def fail() -> None:
        raise RuntimeError("the password is swordfish")

    @app.post("/typed")
    async def typed(body: dict[str, int]) -> None:
        raise RequestError("instance 3: too blue")

    install(app, LIMITS)
    return app


def post(path: str, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, **request)

    return asyncio.run(send())


def test_a_sane_request_id_is_kept_and_another_replaced() -> None:
    assert post("/echo", headers={"x-request-id": "abc"}).json()["id"] == "abc"
    assert len(post("/echo", headers={"x-request-id": "<abc>"}).json()["id"]) == 36


def test_a_body_over_the_limit_is_413_whether_announced_or_not() -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield bytes(100)

    assert post("/echo", content=bytes(1000)).json()["size"] == 1000
    for content in (bytes(1001), chunks()):
        refused = post("/echo", content=content)
        assert refused.status_code == 413
        assert "over 1000 bytes" in refused.json()["error"]


def test_an_unexpected_error_is_logged_and_answered_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="serving"):
        failed = post("/fail", headers={"x-request-id": "r-7"})
    assert failed.status_code == 500
    assert failed.json() == {"error": "internal error, request id r-7"}
    assert "swordfish" in caplog.text


def test_every_error_has_the_same_shape() -> None:
    assert post("/typed", json={"a": 1}).json() == {"error": "instance 3: too blue"}
    refused = post("/typed", json={"a": "secret"})
    assert refused.status_code == 400
    assert "secret" not in refused.text
    assert post("/nowhere").json() == {"error": "Not Found"}


def test_an_error_after_the_answer_began_is_not_answered_twice() -> None:
    sent: list[Message] = []

    async def half_answer(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("cut off")

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def keep(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(half_answer, LIMITS)({"type": "http", "headers": []}, receive, keep))
    assert [message["type"] for message in sent] == ["http.response.start"]


def raw_request(head: object, tail: bytes = b"", length: str | None = None) -> Any:
    text = json.dumps(head).encode()
    headers = {"inference-header-content-length": str(len(text)) if length is None else length}
    decoded, _ = LineDataPlane(model_registry=None).decode(text + tail, headers, "v2", "htr")
    return decoded


def tensor(**changes: object) -> dict[str, object]:
    return {"name": "image", "shape": [2], "datatype": "BYTES", **changes}


def test_images_in_a_raw_v2_body_arrive_as_they_were_sent() -> None:
    tail = b"\x03\x00\x00\x00\x89PN\x02\x00\x00\x00\xff\x00"
    decoded = raw_request({"id": "q", "inputs": [tensor(parameters={"binary_data_size": len(tail)})]}, tail)
    assert decoded.id == "q"
    assert images_from_v2(decoded.inputs, LIMITS) == [b"\x89PN", b"\xff\x00"]


@pytest.mark.parametrize(
    ("head", "length"),
    [
        ([], None),
        ({}, None),
        ({"inputs": None}, None),
        ({"inputs": [7]}, None),
        ({"inputs": []}, None),
        ({"inputs": [tensor(shape="wide")]}, None),
        ({"inputs": [tensor(), tensor()]}, None),
        ({"inputs": [tensor(data=["aaaa"])]}, None),
        ({"inputs": [tensor()]}, "many"),
        ({"inputs": [tensor()]}, "100000"),
        ({"inputs": [tensor()]}, "3"),
    ],
)
def test_a_raw_v2_body_that_does_not_add_up_is_refused(head: object, length: str | None) -> None:
    with pytest.raises(RequestError):
        raw_request(head, length=length)
