"""Who may ask, and how much, before Gradio sees anything of it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from htr.rates import Rates
from serving.web.guard import HEADERS, Guard


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes that came, or 499 where the sender went away."""
    size, status = 0, 200
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            status = 499
            break
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(
    headers: dict[str, str], *bodies: bytes, loopback_only: bool = True, path: str = "/gradio_api/upload"
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[Message] = []
    left = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    left.append({"type": "http.request", "body": b"", "more_body": False})
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": pairs}

    async def receive() -> Message:
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(app, max_bytes=10, loopback_only=loopback_only, is_in=lambda cookies: cookies.get("in") != "no")
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:7860"}, 200),
        ({"host": "localhost:7860"}, 200),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({}, 403),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, 200),
        ({"host": "localhost:7860", "origin": "https://evil.example"}, 403),
        ({"host": "localhost:7860", "origin": "null"}, 403),
        ({"host": "localhost:7860", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "localhost:7860", "sec-fetch-site": "same-origin"}, 200),
        ({"host": "localhost:7860", "content-length": "11"}, 413),
    ],
)
def test_who_may_ask(headers: dict[str, str], status: int) -> None:
    found, said = ask(headers)
    assert found == status
    assert said[b"content-security-policy"] == HEADERS["content-security-policy"].encode()


def test_behind_a_token_any_name_will_do_but_no_other_site() -> None:
    assert ask({"host": "pages.example"}, loopback_only=False)[0] == 200
    assert ask({"host": "pages.example", "origin": "https://evil.example"}, loopback_only=False)[0] == 403


def test_a_body_in_pieces_without_a_length_ends_at_the_limit() -> None:
    assert ask({"host": "localhost"}, b"12345", b"67890")[0] == 200
    assert ask({"host": "localhost"}, b"12345", b"67890", b"1")[0] == 499


@pytest.mark.parametrize(
    ("path", "cookie", "status"),
    [
        ("/gradio_api/upload", "in=yes", 200),
        ("/gradio_api/upload", "in=no", 401),
        ("/login", "in=no", 200),
        ("/gradio_api/process_recording", "in=yes", 404),
        ("/gradio_api/process_recording", "in=no", 404),
    ],
)
def test_what_the_page_needs_is_there_for_who_came_in(path: str, cookie: str, status: int) -> None:
    assert ask({"host": "localhost", "cookie": cookie}, path=path)[0] == status


def test_who_sends_many_wrong_tokens_is_told_to_wait_and_the_right_one_is_let_in() -> None:
    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        right = (b"token", b"right") in scope["headers"]
        await send({"type": "http.response.start", "status": 200 if right else 400, "headers": []})
        await send({"type": "http.response.body", "body": b"let in" if right else b"wrong"})

    guard = Guard(door, max_bytes=10, loopback_only=False, is_in=lambda cookies: False, guesses=Rates(3))

    def answered(token: bytes, address: str = "10.0.0.7", path: str = "/login") -> tuple[int, bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"",
            "headers": [(b"token", token)], "client": (address, 4711),
        }  # fmt: skip
        asyncio.run(guard(scope, receive, send))
        (start, body) = sent
        assert (b"retry-after" in dict(start["headers"])) == (start["status"] == 429)
        return start["status"], body["body"]

    assert [answered(b"guess", path=path)[0] for path in ("/login", "/login/", "/login")] == [400, 400, 400]
    assert answered(b"guess") == (429, b"Too many wrong tokens: wait a while.")
    assert answered(b"right") == (200, b"let in")
    assert answered(b"guess", address="10.9.0.7")[0] == 400
