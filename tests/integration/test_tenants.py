"""One tenant's client tries to reach what is another's by every route of a real server, and of the page before it.

The routes are those that server and page themselves have, over HTTP and gRPC: a new one is tried here from its
first day, or fails a test that asks for what to send it.
"""

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from htr.rates import GUESSES_A_MINUTE
from htr.tenants import MARK, VARIABLE
from serving.access import find_token, is_open
from serving.client import Client
from serving.openapi import NOT_OFFERED
from serving.web.desk import Desk
from serving.web.offered import find_offer
from serving.web.serve import _admission, application
from tests.browser import RunningPage, web_page
from tests.conftest import line_png
from tests.page_routes import ATTACKS, SHUT, Theirs, routes_of, shut
from tests.servers import wait_until
from tests.tenants import (
    ASKED,
    ASKING,
    CORRECTION,
    PERSON,
    PICTURE,
    REQUEST,
    TEXT,
    TOKENS,
    TRACES,
    House,
    bearer,
    contents,
    correction,
    house,
    seed,
)
from tests.visitor import Said, Visitor, named

NOBODYS = "n" * 32
"""A token that no client has."""
NEVER = "nobody-0000000000001"
"""A name that nothing ever went by, as long as the correction's."""
IMAGE = base64.b64encode(PICTURE).decode()
UNLISTED = ("/openapi.json", *NOT_OFFERED)
"""Routes that the description does not have."""


SECRETS = [
    TEXT.encode(), b"Agathe", TOKENS[ASKED].encode(), base64.b64encode(PICTURE[64:160]), PICTURE[64:160],
]  # fmt: skip
"""What of another tenant's may stand in no answer of a page and in no file of its own."""


def more(name: str) -> dict[str, Any]:
    """Return what nobody ought to look at."""
    return {"tenant": name, "parameters": {"tenant": name, "model": name, "corrections": name, "log_dir": name}}


def tensor() -> dict[str, Any]:
    return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [IMAGE]}]}


BODIES: dict[str, Callable[[str], Any]] = {
    "/v1/models/{model_name}:predict": lambda name: {
        "instances": [{"image": {"b64": IMAGE}, "name": name}],
        **more(name),
    },
    "/v1/models/pages:predict": lambda name: {
        "instances": [{"image": {"b64": IMAGE}, "name": name}],
        **more(name),
    },
    "/v1/models/{model_name}:explain": lambda name: {"instances": [IMAGE], **more(name)},
    "/v2/models/{model_name}/infer": lambda name: {"id": "r", **tensor(), **more(name)},
    "/v2/models/pages/infer": lambda name: {"id": "r", **tensor(), **more(name)},
    "/v2/repository/models/{model_name}/load": more,
    "/v2/repository/models/{model_name}/unload": more,
    "/v1/corrections": lambda name: {**correction(name, text="mine", author="A"), "image": "none"},
    "/v1/corrections/withdraw": lambda name: {"id": name, "author": "A", "reason": "", **more(name)},
}
"""What a POST sends that asks for something by a name."""


@dataclass(frozen=True, kw_only=True)
class Street:
    """Two tenants: who asks, and whose things are asked for."""

    asking: House
    asked: House
    page: RunningPage
    """Of who asks."""
    their_page: RunningPage
    visitor: Visitor
    """Who is at it."""
    theirs: Theirs
    """What is to be had there, or on its disk."""
    listener: socket.socket
    """Nobody's server, which no page may be made to ask."""


@pytest.fixture(scope="module")
def street(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    root = tmp_path_factory.mktemp("tenants")
    with (
        house(root, ASKING, tiny_bundle) as asking,
        house(root, ASKED, tiny_bundle) as asked,
        page_of(asking) as page,
        page_of(asked, "--queue", str(scans(asked))) as their_page,
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
    ):
        seed(asked)
        visited = visit(asked, their_page)
        wait_until(lambda: list((asked.folder / "log").rglob("*.parquet")), timeout_s=30)
        time.sleep(2.5)  # rows and images that still wait are written every 2 seconds
        before = contents(asked.folder)
        assert {"corrections/corrections.jsonl", f"corrections/{MARK}", f"log/{MARK}"} <= set(before)
        assert any(one.startswith("log/images/") for one in before)
        yield Street(
            asking=asking,
            asked=asked,
            page=page,
            their_page=their_page,
            visitor=visited[0],
            theirs=theirs_of(asked, their_page, visited, listener),
            listener=listener,
        )
        assert contents(asked.folder) == before  # nothing was written, changed or removed there
        for folder, traces in (
            (asking.folder, SECRETS[:2]),
            (page.folder, SECRETS),
        ):  # the picture is sent there, too
            for file in (one for one in folder.rglob("*") if one.is_file()):
                assert not any(trace in file.read_bytes() for trace in traces), file


def page_of(one: House, *more: str) -> contextlib.AbstractContextManager[RunningPage]:
    flags = ("--server", one.server.url, "--token-file", str(one.folder.parent / "tokens"), *more)
    return web_page(*flags, env={VARIABLE: one.tenant})


def scans(one: House) -> Path:
    """Return a folder of a line that waits at a tenant's page."""
    folder = one.folder / "scans"
    folder.mkdir()
    (folder / "Beispiel.png").write_bytes(PICTURE)
    return folder


def visit(one: House, page: RunningPage) -> tuple[Visitor, str]:
    """Read a picture at a tenant's page and take its text away; return who did, and an event of it."""
    visitor = Visitor(url=page.url)
    assert visitor.come_in(PERSON, TOKENS[one.tenant])
    does = visitor.functions()
    path = visitor.upload("Beispiel.png", PICTURE).json[0]
    joined = visitor.join(does["file upload"]["id"], [None, named(path), "automatic"])
    assert b"<svg" in visitor.outcome().body
    assert b"Beispiel.txt is ready" in visitor.do(does["Text ⭳ click"]["id"], [None])
    return visitor, joined.json["event_id"]


def theirs_of(one: House, page: RunningPage, visited: tuple[Visitor, str], listener: socket.socket) -> Theirs:
    def found(folder: Path, pattern: str) -> str:
        return str(next(file for file in folder.rglob(pattern) if file.is_file()))

    port = listener.getsockname()[1]
    return Theirs(
        files=[
            found(one.folder, "corrections.jsonl"),
            found(one.folder, "log/images/*"),
            found(one.folder, "scans/*"),
            found(page.folder, "files/*/Beispiel.png"),
            found(page.folder, "made/*/Beispiel.txt"),
            str(one.folder.parent / "tokens"),
        ],
        sessions=[visited[0].session, visited[1]],
        addresses=[
            f"{one.server.url}/v1/corrections",
            f"{page.url}/config",
            *(
                f"http://{host}:{port}/latest/meta-data/"
                for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "a@127.0.0.1")
            ),
        ],
        token=TOKENS[one.tenant],
    )


def routes(street: Street) -> list[tuple[str, str]]:
    with street.asking.http as http:
        described = http.get("/openapi.json").json()["paths"]
    found = [(method.upper(), path) for path, operations in described.items() for method in operations]
    return [*found, *(("POST" if path.endswith("explain") else "GET", path) for path in UNLISTED)]


def names(street: Street) -> list[str]:
    """Return what a client may put where a route takes a name, to get at somebody else's."""
    theirs = street.asked.folder
    return [
        ASKED, CORRECTION, REQUEST, f"{ASKED}.htr", f"../{ASKED}", f"..%2f{ASKED}", f"%2e%2e/{ASKED}",
        f"..%252f{ASKED}", f"..\\{ASKED}", str(theirs), f"file://{theirs}", f"{ASKED}%00", f"htr@{ASKED}",
    ]  # fmt: skip


def ask(http: httpx.Client, method: str, path: str, name: str, **sent: Any) -> httpx.Response:
    """Send a request that puts a name wherever the route takes one, and where it takes none as well."""
    url = path.replace("{model_name}", name).replace("{model_version}", name)
    params = {"tenant": name, "start": "0", "limit": "100"} if method == "GET" else {}
    headers = {
        "x-tenant": name,
        "x-quillflow-tenant": name,
        "x-forwarded-user": f"{name}/desk",
        **sent.pop("headers", {}),
    }
    headers = {key: value for key, value in headers.items() if value.isascii() and "\\" not in value}
    body = BODIES[path](name) if method == "POST" else None
    return http.request(method, url, params=params, json=body, headers=headers)


def told(answer: httpx.Response, name: str) -> tuple[int, str, list[str]]:
    """Return what an answer says, but for its request's own id and the name that was asked for."""
    text = re.sub(r'"request_id": ?"[^"]*"', "", answer.text)
    for echo in (name, name.replace("\\", "\\\\"), json.dumps(name)[1:-1]):
        text = text.replace(echo, "NAME")
    said = sorted(key for key in answer.headers if key != "content-length")
    return answer.status_code, text, said


def test_every_route_that_takes_something_is_told_what_to_ask_for(street: Street) -> None:
    found = routes(street)
    assert {path for method, path in found if method == "POST"} == set(BODIES)
    assert {method for method, _ in found} == {"GET", "POST"}
    assert len(found) >= 20


def test_the_routes_that_are_tried_are_all_that_there_are() -> None:
    for file in (Path(__file__).parents[2] / "serving").glob("*.py"):
        assert "include_in_schema=False" not in file.read_text(), f"{file}: tell UNLISTED"


def test_another_tenants_token_is_as_good_as_none_on_every_route(street: Street) -> None:
    for number, (method, path) in enumerate(routes(street)):
        address = httpx.HTTPTransport(local_address=f"127.0.1.{number}")  # who guesses often is told to wait
        with httpx.Client(base_url=street.asking.server.url, transport=address, timeout=60) as http:
            answers = [
                told(ask(http, method, path, "htr", headers=bearer(token)), "htr")
                for token in (TOKENS[ASKED], NOBODYS, "")
            ]
            assert answers[0] == answers[1] == answers[2], path
            assert answers[0][0] == 401 or is_open(path.replace("{model_name}", "htr")), path


def test_what_needs_no_token_tells_the_same_of_every_tenant(street: Street) -> None:
    opened = [
        path for method, path in routes(street) if method == "GET" and is_open(path.replace("{model_name}", "htr"))
    ]
    assert len(opened) == 4
    for path in opened:
        url = path.replace("{model_name}", "htr")
        both = [httpx.get(one.server.url + url).text for one in (street.asking, street.asked)]
        assert both[0] == both[1], path


def test_by_no_route_is_anything_of_another_tenant_reached_or_known_to_be_there(street: Street) -> None:
    with street.asking.http as http:
        for method, path in routes(street):
            never = told(ask(http, method, path, NEVER), NEVER)
            for name in names(street) if "{" in path else [CORRECTION, REQUEST]:
                answer = ask(http, method, path, name)
                for trace in TRACES:
                    assert trace not in answer.text.replace(name, ""), (path, name)
                if path == "/metrics":  # its figures move from one request to the next
                    continue
                if "/" not in name and "%" not in name and "\\" not in name:
                    assert told(answer, name) == never, (path, name)
                elif "{" in path:
                    assert answer.status_code in {400, 403, 404, 501}, (path, name, answer.text)


def test_ids_pictures_and_requests_of_others_are_free_to_use_and_lead_nowhere(street: Street) -> None:
    with street.asking.http as http:
        mine = correction(CORRECTION, text="another text", author="A")
        stored = http.post("/v1/corrections", json=mine)
        assert (stored.status_code, stored.json()["stored"]) == (201, True)  # theirs of that id is no conflict
        (listed,) = http.get("/v1/corrections").json()["corrections"]
        assert listed["new_text"] == "another text"
        gone = http.post("/v1/corrections/withdraw", json={"id": CORRECTION, "author": "A", "reason": ""})
        assert gone.json() == {"id": CORRECTION, "withdrawn": True}
    with street.asked.http as http:
        (theirs,) = http.get("/v1/corrections").json()["corrections"]
    assert (theirs["new_text"], theirs["withdrawn"]) == (TEXT, False)


def test_figures_count_one_tenants_readings_and_name_none(street: Street) -> None:
    read = re.compile(r'^quillflow_readings_total\{model_version="[^"]+"\} (\S+)$', re.MULTILINE)
    with street.asked.http as http:
        before = http.get("/metrics").text
    with street.asking.http as http:
        http.post("/v1/models/htr:predict", json={"instances": [IMAGE]}, headers={"x-request-id": REQUEST})
        mine = http.get("/metrics").text
    with street.asked.http as http:
        after = http.get("/metrics").text
    assert read.findall(before) == read.findall(after) != []
    assert read.findall(mine)
    for trace in (*TRACES, ASKED, ASKING, "desk"):
        assert trace not in mine + after


def call(street: Street, method: str, name: str, token: str) -> tuple[str, str]:
    """Call a method of gRPC; return status and what was said, or answered."""
    request = getattr(v2, f"{method}Request")()
    for field in request.DESCRIPTOR.fields_by_name:
        if field in {"name", "model_name"}:
            setattr(request, field, name)
    if method == "ModelInfer":
        held = request.inputs.add(name="image", datatype="BYTES", shape=[1])
        held.contents.bytes_contents.append(PICTURE)
        request.id = "r"
        request.parameters["tenant"].string_param = name
    with grpc.insecure_channel(street.asking.server.grpc) as channel:
        metadata = [*bearer(token).items(), ("x-tenant", name.replace("\0", ""))]
        try:
            answer = getattr(GRPCInferenceServiceStub(channel), method)(request, metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            return str(error.code()), re.sub(r"request [\w-]+", "", str(error.details()))
        return "OK", str(answer)


def test_the_pages_door_knows_its_own_tenants_clients_alone(street: Street) -> None:
    file = street.asking.folder.parent / "tokens"
    token = find_token(file, {VARIABLE: ASKING})
    admit = _admission(token)
    assert admit is not None
    assert [admit("Agathe", sent) for sent in (TOKENS[ASKING], TOKENS[ASKED], NOBODYS, "")] == [
        True, False, False, False,
    ]  # fmt: skip


METHODS = [one.name for one in v2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
OPEN = {"ServerLive", "ServerReady", "ModelReady"}


@pytest.mark.parametrize("method", METHODS)
def test_over_grpc_it_is_the_same(street: Street, method: str) -> None:
    refused = [call(street, method, "htr", token) for token in (TOKENS[ASKED], NOBODYS)]
    assert refused[0] == refused[1]
    assert (refused[0][0] == "StatusCode.UNAUTHENTICATED") is (method not in OPEN)
    never = call(street, method, NEVER, TOKENS[ASKING])
    for name in (ASKED, CORRECTION, REQUEST, f"{ASKED}.htr"):
        status, said = call(street, method, name, TOKENS[ASKING])
        assert (status, said.replace(name, "NAME")) == (never[0], never[1].replace(NEVER, "NAME"))
    for name in (f"../{ASKED}", str(street.asked.folder), f"{ASKED}\0"):
        status, said = call(street, method, name, TOKENS[ASKING])
        assert not any(trace in said for trace in TRACES)
        assert status == never[0]


@pytest.fixture(scope="module")
def page_routes(street: Street, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    desk = Desk(client=Client(street.asking.server.url), clock=time.monotonic)
    token = find_token(street.asking.folder.parent / "tokens", {VARIABLE: ASKING})
    app = application(desk, kept=tmp_path_factory.mktemp("page"), host="127.0.0.1", token=token)
    return sorted(routes_of(app))


def without(said: Said, echoes: list[str]) -> bytes:
    """Return an answer without what the question said, in whatever spelling."""
    body = said.body
    plain = [echo for one in echoes for echo in (one, unquote(one), unquote(unquote(one))) if echo]
    for echo in sorted(plain, key=len, reverse=True):
        for spelt in (echo, json.dumps(echo)[1:-1], json.dumps(json.dumps(echo)[1:-1])[1:-1]):
            body = body.replace(spelt.encode(), b"NAME")
    return body


def listened(street: Street) -> bool:
    """Return whether somebody asked the listener for something."""
    street.listener.setblocking(False)
    try:
        street.listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def is_let_in_by_all(path: str) -> bool:
    """Return whether a route of the page wants no token."""
    offers = [find_offer(method, re.sub(r"\{[^}]+\}", "x", path)) for method in ("GET", "POST")]
    return any(one and one.is_open for one in offers)


def test_every_route_of_the_page_is_attacked_or_known_to_be_shut(page_routes: list[tuple[str, str]]) -> None:
    assert {path.rstrip("/") or "/" for _, path in page_routes} == {*ATTACKS, *SHUT}
    assert len(page_routes) > 70


def test_routes_that_the_page_does_not_need_are_as_if_not_there(
    street: Street, page_routes: list[tuple[str, str]]
) -> None:
    mine = Visitor(url=street.page.url)
    assert mine.come_in("Ada", TOKENS[ASKING])
    nothing = mine.ask("GET", "/nothing/of/the/kind")
    for method, path in page_routes:
        if path.rstrip("/") in SHUT:
            for _, said in shut(mine, method, path, street.theirs):
                assert (said.status, said.body or nothing.body) == (404, nothing.body), (method, path)


def test_by_no_route_of_the_page_is_anything_of_another_tenant_reached(street: Street) -> None:
    mine = Visitor(url=street.page.url)
    assert mine.come_in("Ada", TOKENS[ASKING])
    for path, attack in ATTACKS.items():
        num_answers = 0
        for echoes, said in attack(mine, street.theirs):
            num_answers += 1
            body = without(said, echoes)
            for trace in (
                *SECRETS,
                *(str(one).encode() for one in (street.asked.folder, street.their_page.folder)),
            ):
                assert trace not in body, (path, echoes, body)
            if said.status != 200:
                assert str(street.page.folder).encode() not in body, (path, echoes, body)
        assert num_answers
    assert not listened(street)


def test_at_another_tenants_page_nobody_is_let_further_than_the_door(street: Street) -> None:
    mine = Visitor(url=street.page.url)
    assert mine.come_in("Ada", TOKENS[ASKING])
    given = next(iter(mine.cookies.values()))
    all_of_it = street.theirs
    theirs = replace(
        all_of_it, files=all_of_it.files[3:5], addresses=all_of_it.addresses[:1], token=TOKENS[ASKING]
    )  # the token of whoever is a client elsewhere
    for cookies in ({}, mine.cookies, dict.fromkeys(street.visitor.cookies, given)):
        for path, attack in ATTACKS.items():
            for echoes, said in attack(Visitor(url=street.their_page.url, cookies=dict(cookies)), theirs):
                assert said.status in {401, 404} or is_let_in_by_all(path), (path, said)
                for trace in (*SECRETS, str(street.their_page.folder).encode()):
                    assert trace not in without(said, echoes), (path, echoes)


def test_what_was_uploaded_is_given_to_who_came_in_and_to_nobody_else(street: Street) -> None:
    (path,) = (one for one in street.theirs.files if "/files/" in one)
    assert street.visitor.ask("GET", f"/gradio_api/file={path}").body == PICTURE
    for method in ("GET", "HEAD"):
        assert Visitor(url=street.their_page.url).ask(method, f"/gradio_api/file={path}").status == 401


def test_a_button_takes_what_was_uploaded_and_neither_other_files_nor_addresses(street: Street) -> None:
    mine = Visitor(url=street.page.url)
    assert mine.come_in("Ada", TOKENS[ASKING])
    function = mine.functions()["file upload"]["id"]
    for name in (*street.theirs.files, *street.theirs.addresses):
        told = mine.do(function, [None, named(name), "automatic"])
        assert b"This file was not uploaded here" in told, told
    path = mine.upload("mine.png", line_png("mine", height=64, seed=1)).json[0]
    assert b"<svg" in mine.do(function, [None, named(path), "automatic"])


def test_whoever_tries_many_tokens_at_a_page_is_told_to_wait_and_its_own_people_are_let_in(street: Street) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    stranger = Visitor(url=street.their_page.url)
    told = [
        stranger.ask("POST", "/login", urlencode({"username": "Eve", "password": f"guess {n}"}).encode(), form)
        for n in range(GUESSES_A_MINUTE + 5)
    ]
    assert {one.status for one in told} == {400, 429}
    assert told[-1].status == 429
    assert int(told[-1].headers["retry-after"]) >= 1
    assert Visitor(url=street.their_page.url).come_in("Ada", TOKENS[ASKED])
