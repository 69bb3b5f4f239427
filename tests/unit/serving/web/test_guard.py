"""Who may ask, and how much, before Gradio sees anything of it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

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


def ask(headers: dict[str, str], *bodies: bytes, loopback_only: bool = True) -> tuple[int, dict[bytes, bytes]]:
    sent: list[Message] = []
    left = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    left.append({"type": "http.request", "body": b"", "more_body": False})
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": pairs}

    async def receive() -> Message:
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(app, max_bytes=10, loopback_only=loopback_only)(scope, receive, send))
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
