import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from htr.access_log import FILE, AccessLog
from htr.rates import Rates
from htr.tokens import Token
from serving.admission import Admission
from serving.guard import install
from serving.limits import Limits
from serving.stamp import Stamp
from serving.writes import Writes, write_route

DESK, ARCHIVE = "a" * 20, "b" * 20


def application(folder: Path, *, per_minute: int = 3) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/corrections", status_code=201)
    async def add(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    log = AccessLog(folder / FILE, service="serving", clock=lambda: datetime.now(UTC))
    install(
        app,
        Limits(),
        stamp=lambda request_id: Stamp(request_id=request_id, model_version="7", bundle_digest="sha256:0"),
        admission=dict[str, Admission](),
        token=Token(DESK.encode(), "desk", (Token(ARCHIVE.encode(), "archive"),)),
        writes=Writes(rates=Rates(per_minute, clock=lambda: 0.0), log=log),
    )
    return app


def send(app: FastAPI, tokens: list[str], path: str = "/v1/corrections", **request: Any) -> list[httpx.Response]:
    async def post() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [
                await client.post(path, headers={"authorization": f"Bearer {token}"}, **request)
                for token in tokens
            ]

    return asyncio.run(post())


def noted(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_who_writes_too_often_is_told_when_to_come_back_and_others_are_let_in(tmp_path: Path) -> None:
    app = application(tmp_path)
    answers = send(app, [DESK] * 5 + [ARCHIVE])
    assert [one.status_code for one in answers] == [201] * 3 + [429, 429, 201]
    assert answers[3].headers["retry-after"] == "20"
    assert answers[3].json()["code"] == "too_often"


def test_guesses_at_tokens_are_bounded_and_use_up_nobodys_share(tmp_path: Path) -> None:
    answers = send(application(tmp_path), ["x" * 20] * 5 + [DESK])
    assert [one.status_code for one in answers] == [401] * 3 + [429, 429, 201]


def test_the_log_says_who_and_what_became_of_it_and_nothing_of_what_was_sent(tmp_path: Path) -> None:
    send(application(tmp_path), [DESK, "x" * 20, ARCHIVE], json={"text": "Grüße von Ada"})
    lines = noted(tmp_path)
    assert [(one["client"], one["status"]) for one in lines] == [("desk", 201), ("", 401), ("archive", 201)]
    keys = {"format_version", "time", "service", "route", "client", "status", "request_id"}
    assert all(set(one) == keys for one in lines)
    text = (tmp_path / FILE).read_text()
    for secret in ("Ada", "192.0.2.1", DESK, ARCHIVE, "x" * 20):
        assert secret not in text


def test_a_flood_of_refusals_is_one_line(tmp_path: Path) -> None:
    send(application(tmp_path), [DESK] * 50)
    assert [one["status"] for one in noted(tmp_path)] == [201, 201, 201, 429]


def test_an_answer_is_not_sent_before_its_line_is_on_disk(tmp_path: Path) -> None:
    app = application(tmp_path)
    (answer,) = send(app, [DESK])
    assert noted(tmp_path)[-1]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/corrections", "POST /v1/corrections"),
        ("POST", "/v1/corrections/withdraw", "POST /v1/corrections/withdraw"),
        ("POST", "/v2/repository/models/Ada%20Byron/unload", "POST /v2/repository/unload"),
        ("GET", "/v1/corrections", ""),
        ("POST", "/v1/models/htr:predict", ""),
    ],
)
def test_a_route_is_noted_without_what_clients_choose(method: str, path: str, route: str) -> None:
    assert write_route(method, path) == route
