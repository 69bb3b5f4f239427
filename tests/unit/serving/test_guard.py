import asyncio
import json
import logging
from concurrent.futures import Executor, Future
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from serving.access import Token
from serving.admission import Admission
from serving.dataplane import LineDataPlane
from serving.guard import Guard, install
from serving.limits import Limits
from serving.protocol import images_from_v2
from serving.refusals import RequestError, TooSlowError
from serving.stamp import Stamp

LIMITS = Limits(max_body_bytes=1000, max_buffered_bytes=1500, max_upload_seconds=0.2, max_waiting=1)
ORIGIN = {"model_version": "7", "bundle_digest": "sha256:0"}


class Never(Executor):
    """A pool whose threads never get round to anything."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return Future()


def stamp(request_id: str) -> Stamp:
    return Stamp(request_id=request_id, **ORIGIN)


def idle() -> Admission:
    return Admission(Never(), num_threads=1, limits=LIMITS)


def application(admission: Admission | None = None, token: Token | None = None) -> FastAPI:
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

    @app.post("/slow")
    async def slow() -> None:
        raise TooSlowError("not answered within 3 s", retry_after_s=9)

    @app.post("/v1/models/htr:predict")
    async def predict(request: Request) -> dict[str, Any]:
        return {"size": len(await request.body())}

    install(app, LIMITS, stamp=stamp, admission={"htr": admission or idle()}, token=token)
    return app


def post(path: str, app: FastAPI | None = None, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app or application())
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
    assert failed.json() == {
        "error": "internal error, request id r-7", "code": "internal", "request_id": "r-7", **ORIGIN
    }  # fmt: skip
    assert "swordfish" in caplog.text


def test_every_error_has_the_same_shape() -> None:
    typed = post("/typed", json={"a": 1}, headers={"x-request-id": "r-8"})
    assert typed.json() == {
        "error": "instance 3: too blue", "code": "bad_request", "request_id": "r-8", **ORIGIN
    }  # fmt: skip
    refused = post("/typed", json={"a": "secret"})
    assert refused.status_code == 400
    assert "secret" not in refused.text
    lost = post("/nowhere")
    assert (lost.json()["error"], lost.json()["code"]) == ("Not Found", "not_found")
    assert lost.json()["request_id"] == lost.headers["x-request-id"]


def test_what_took_too_long_is_503_and_says_when_to_come_back() -> None:
    refused = post("/slow")
    assert (refused.status_code, refused.json()["code"]) == (503, "too_slow")
    assert refused.headers["retry-after"] == "9"


def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    async def stalled() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    refused = post("/echo", content=stalled())
    assert refused.status_code == 408
    assert "within 0.2 s" in refused.json()["error"]


def test_bodies_of_all_requests_together_are_bounded_and_forgotten_when_answered() -> None:
    app = application()

    async def slowly() -> Any:
        for _ in range(9):
            yield bytes(100)
            await asyncio.sleep(0.005)

    async def send_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*(client.post("/echo", content=slowly()) for _ in range(4)))

    statuses = sorted(answer.status_code for answer in asyncio.run(send_all()))
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert sorted(set(statuses)) == [200, 429]
    assert post("/echo", app, content=bytes(1000)).status_code == 200


def test_while_as_many_wait_as_may_a_reading_request_is_429_before_its_body_is_received() -> None:
    admission, received = idle(), []

    async def body() -> Any:
        received.append(True)
        yield b"{}"

    async def scene() -> tuple[httpx.Response, httpx.Response]:
        waiting = [asyncio.ensure_future(admission.run(lambda _: None)) for _ in range(2)]
        await asyncio.sleep(0)
        transport = httpx.ASGITransport(application(admission))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answers = (
                await client.post("/v1/models/htr:predict", content=body()),
                await client.post("/echo", content=b"{}"),
            )
        for one in waiting:
            one.cancel()
        return answers

    refused, other = asyncio.run(scene())
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["code"] == "busy"
    assert received == []
    assert other.status_code == 200


def test_with_a_token_only_who_has_it_and_health_probes_pass() -> None:
    app = application(token=Token(b"correct-horse-battery"))
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic correct-horse-battery"}):
        refused = post("/echo", app, content=b"{}", headers=wrong)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "correct" not in refused.text
    right = {"authorization": "Bearer correct-horse-battery"}
    assert post("/echo", app, content=b"{}", headers=right).status_code == 200
    assert post("/v2/health/live", app).status_code == 404  # this application has none, but the guard lets it pass


def test_pages_of_other_sites_are_refused() -> None:
    for origin in ("https://evil.example", "null", "http://test:81"):
        refused = post("/echo", content=b"{}", headers={"origin": origin})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
    assert post("/echo", content=b"{}", headers={"origin": "http://test"}).status_code == 200


def test_an_error_after_the_answer_began_is_not_answered_twice() -> None:
    sent: list[Message] = []

    async def half_answer(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("cut off")

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def keep(message: Message) -> None:
        sent.append(message)

    async def serve() -> None:
        guard = Guard(half_answer, limits=LIMITS, stamp=stamp, admission={"htr": idle()})
        await guard({"type": "http", "path": "/", "headers": []}, receive, keep)

    asyncio.run(serve())
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


@pytest.mark.parametrize("shape", [["2"], [True], "2", [1.5], [None]])
def test_what_is_no_number_is_not_taken_for_one(shape: object) -> None:
    body = json.dumps({"inputs": [tensor(shape=shape, data=["aaaa"])]}).encode()
    with pytest.raises(RequestError, match="shape"):
        LineDataPlane(model_registry=None).decode(body, {}, "v2", "htr")
