"""One tenant's client tries to reach what is another's by every route of a real server.

The routes are those that the server itself has, over HTTP and gRPC: a new one is tried here from its first day, or
fails a test that asks for what to send it.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from htr.tenants import MARK, VARIABLE
from serving.access import find_token, is_open
from serving.openapi import NOT_OFFERED
from serving.web.serve import _admission
from tests.browser import web_page
from tests.servers import wait_until
from tests.tenants import (
    ASKED,
    ASKING,
    CORRECTION,
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

NOBODYS = "n" * 32
"""A token that no client has."""
NEVER = "nobody-0000000000001"
"""A name that nothing ever went by, as long as the correction's."""
IMAGE = base64.b64encode(PICTURE).decode()
UNLISTED = ("/openapi.json", *NOT_OFFERED)
"""Routes that the description does not have."""


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


@pytest.fixture(scope="module")
def street(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    root = tmp_path_factory.mktemp("tenants")
    with house(root, ASKING, tiny_bundle) as asking, house(root, ASKED, tiny_bundle) as asked:
        seed(asked)
        wait_until(lambda: list((asked.folder / "log").rglob("*.parquet")), timeout_s=30)
        time.sleep(2.5)  # rows and images that still wait are written every 2 seconds
        before = contents(asked.folder)
        assert {"corrections/corrections.jsonl", f"corrections/{MARK}", f"log/{MARK}"} <= set(before)
        assert any(one.startswith("log/images/") for one in before)
        yield Street(asking=asking, asked=asked)
        assert contents(asked.folder) == before  # nothing was written, changed or removed there
        for file in (one for one in asking.folder.rglob("*") if one.is_file()):
            for trace in (TEXT, "Agathe"):
                assert trace.encode() not in file.read_bytes(), file


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
    assert read.findall(before) == read.findall(after) == ["1.0"]
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


def test_the_page_of_one_tenant_opens_neither_to_anothers_client_nor_on_anothers_files(street: Street) -> None:
    tokens = street.asking.folder.parent / "tokens"
    flags = ("--server", street.asking.server.url, "--token-file", str(tokens))
    with web_page(*flags, env={VARIABLE: ASKING}) as page, httpx.Client(base_url=page.url, timeout=60) as http:
        refused = [
            http.post("/login", data={"username": "Agathe", "password": sent}) for sent in (TOKENS[ASKED], NOBODYS)
        ]
        assert refused[0].status_code == refused[1].status_code == 400
        assert refused[0].text == refused[1].text
        assert http.get("/config").status_code == 401
        let_in = http.post("/login", data={"username": "Agathe", "password": TOKENS[ASKING]})
        assert let_in.status_code == 200
        assert http.get("/config").status_code == 200
        never = street.asked.folder / "corrections" / "never"
        theirs = [file for file in street.asked.folder.rglob("*") if file.is_file()]
        assert theirs
        for way in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/gradio_api/stream/", "/static/../"):
            answers = {
                (answer.status_code, answer.text.replace(str(file), "FILE").replace(str(file)[1:], "FILE"))
                for file in (*theirs, never)
                for answer in [http.get(f"{way}{file}")]
            }
            assert len(answers) == 1, (way, answers)
            assert answers.pop()[0] in {403, 404}, way
