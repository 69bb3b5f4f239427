"""Corrections as people send them: to a server, by our client, under load, through a crash, and into lines."""

import base64
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from htr.correction_store import CorrectionStore
from htr.errors import ServiceError, SettingsError
from htr.importers.corrections import import_corrections
from htr.lines import LinesDataset
from serving.client import (
    Client,
    ConflictError,
    LineRead,
    RefusedError,
    StrangeAnswerError,
    TooLargeError,
    UnreachableError,
)
from tests.conftest import line_png
from tests.servers import RunningServer, model_server, refused_start

PATH = "/v1/corrections"
OPTIONAL = ("chosen_by", "line", "writer", "page", "language", "request_id", "position")
IMAGES = [line_png("first line"), line_png("the second one", seed=2)]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server that takes corrections."""

    server: RunningServer
    folder: Path
    http: httpx.Client
    client: Client


@pytest.fixture(scope="module")
def site(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site") / "corrections"
    with (
        model_server("--bundle", str(tiny_bundle), "--corrections", str(folder)) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        yield Site(server=server, folder=folder, http=http, client=Client(server.url))


def body(name: str, **changes: Any) -> dict[str, Any]:
    image = {"b64": base64.b64encode(IMAGES[0]).decode()}
    model = {"model_version": "7", "bundle_digest": "sha256:" + "b" * 64}
    return {"id": name, "author": "Ada", "image": image, "old_text": "x", "new_text": "y", **model, **changes}


def stored(folder: Path) -> dict[str, str]:
    return {one.correction.id: one.correction.new_text for one in CorrectionStore(folder).read()[0]}


def test_what_was_read_is_corrected_and_listed_without_its_image(site: Site) -> None:
    first, second = site.client.read(IMAGES)
    sent = site.client.correct(
        second, "the  second one", author="Ada", chosen_by="sample", line="7", language="eng"
    )
    found, count = site.client.corrections(start=site.client.corrections()[1] - 1)
    (listed,) = found
    assert count >= 1
    assert (listed["id"], listed["old_text"], listed["new_text"]) == (sent, second.text, "the second one")
    assert (listed["chosen_by"], listed["line"], listed["language"]) == ("sample", "7", "eng")
    assert (listed["request_id"], listed["position"]) == (first.request_id, 1)
    assert (listed["model_version"], listed["bundle_digest"]) == (site.server.version, second.bundle_digest)
    assert listed["withdrawn"] is False
    assert "image" not in listed
    (kept,) = (one for one in CorrectionStore(site.folder).read()[0] if one.correction.id == sent)
    assert CorrectionStore(site.folder).image_file(kept.correction).read_bytes() == IMAGES[1]


def test_the_same_again_is_known_and_another_under_its_id_is_a_conflict(site: Site) -> None:
    answers = [site.http.post(PATH, json=body("twice")) for _ in range(2)]
    assert [(one.status_code, one.json()) for one in answers] == [
        (201, {"id": "twice", "stored": True}),
        (200, {"id": "twice", "stored": False}),
    ]
    refused = site.http.post(PATH, json=body("twice", new_text="z"))
    assert refused.status_code == 409
    assert refused.json()["error"].startswith("id 'twice' stands for another correction")
    assert stored(site.folder)["twice"] == "y"


def test_a_withdrawal_is_listed_and_needs_something_to_withdraw(site: Site) -> None:
    assert site.http.post(PATH, json=body("gone")).status_code == 201
    withdrawal = {"id": "gone", "author": "Bo", "reason": "wrong line"}
    for expected in (True, False):
        answer = site.http.post(f"{PATH}/withdraw", json=withdrawal)
        assert (answer.status_code, answer.json()) == (200, {"id": "gone", "withdrawn": expected})
    listed = {one["id"]: one["withdrawn"] for one in site.http.get(PATH).json()["corrections"]}
    assert listed["gone"] is True
    unknown = site.http.post(f"{PATH}/withdraw", json={**withdrawal, "id": "nobody"})
    assert unknown.status_code == 404
    assert "no correction 'nobody'" in unknown.json()["error"]


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (body("bad", new_text=""), 400, "^new_text: expected"),
        (body("bad", image=None, request_id="r-1"), 400, "^image: missing.*need not have kept it"),
        (body("bad", image={"b64": "A" * 15_000_000}), 413, "^image: image has"),
        (["bad"], 400, "expected a JSON object"),
    ],
)
def test_what_is_wrong_is_refused_with_one_line_and_not_stored(
    site: Site, sent: object, status: int, reason: str
) -> None:
    refused = site.http.post(PATH, json=sent)
    assert refused.status_code == status
    assert re.search(reason, refused.json()["error"])
    assert "bad" not in stored(site.folder)
    assert "Traceback" not in site.server.stderr.read_text()


@pytest.mark.parametrize("query", ["start=-1", "limit=1001", "limit=x", "start=99999999999"])
def test_a_list_takes_whole_numbers_only(site: Site, query: str) -> None:
    refused = site.http.get(f"{PATH}?{query}")
    assert refused.status_code == 400
    assert query.partition("=")[0] in refused.json()["error"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(site: Site) -> None:
    host, port = site.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_many_at_once_are_each_stored_once(site: Site) -> None:
    def send(number: int) -> int:
        return site.http.post(PATH, json=body(f"many-{number % 20}")).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(40)))
    assert sorted(statuses) == [200] * 20 + [201] * 20
    assert sum(name.startswith("many-") for name in stored(site.folder)) == 20


def test_the_client_names_what_went_wrong(site: Site) -> None:
    (line,) = site.client.read(IMAGES[:1])
    sent = site.client.correct(line, "first line", author="Ada")
    assert site.client.correct(line, "first line", author="Ada", correction_id=sent) == sent
    with pytest.raises(ConflictError, match="another correction"):
        site.client.correct(line, "last line", author="Ada", correction_id=sent)
    with pytest.raises(RefusedError, match=r"^language: expected") as refused:
        site.client.correct(line, "first line", author="Ada", language="english")
    assert refused.value.status == 400
    with pytest.raises(TooLargeError):
        site.client.correct(replace(line, image=b"x" * 52_000_000), "first line", author="Ada")
    with pytest.raises(RefusedError, match="not an image"):
        site.client.read([b"not an image"])
    site.client.withdraw(sent, author="Ada")
    with pytest.raises(RefusedError) as missing:
        site.client.withdraw("nobody", author="Ada")
    assert missing.value.status == 404
    with pytest.raises(RefusedError):
        Client(site.server.url, model="nobody").read(IMAGES[:1])
    for url in ("localhost:8080", "ftp://x", ""):
        with pytest.raises(SettingsError, match="expected http"):
            Client(url)


def test_the_client_tries_again_where_nobody_answers_and_stores_once(site: Site) -> None:
    waited: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: cannot be reached"):
        Client(f"http://127.0.0.1:{port}", wait=waited.append).read(IMAGES[:1])
    assert len(waited) == 2
    (line,) = site.client.read(IMAGES[:1])
    with relay(site.server.url, answers_lost=1) as url:
        sent = Client(url, wait=waited.append).correct(line, "first line", author="Ada")
    assert len(waited) == 3
    assert list(stored(site.folder)).count(sent) == 1


class relay:  # noqa: N801 - reads as a function
    """Passes requests on to a server; of some it loses the answer, as a network may."""

    def __init__(self, url: str, *, answers_lost: int) -> None:
        lost = iter(range(answers_lost))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                answer = httpx.post(url + self.path, content=content)
                if next(lost, None) is not None:
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def canned(status: int, content: bytes, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Answer every request alike; yields the address, and the tokens that came."""
    tokens: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", tokens
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_of_something_else_is_named_as_such() -> None:
    with canned(200, b"<html>") as (url, _), pytest.raises(StrangeAnswerError, match="status 200 without JSON"):
        Client(url).corrections()
    with canned(200, b"{}") as (url, _), pytest.raises(StrangeAnswerError, match="without 'corrections'"):
        Client(url).corrections()
    assert issubclass(StrangeAnswerError, ServiceError)


def test_a_server_that_is_busy_is_given_the_time_it_asks_for_and_a_token_goes_along() -> None:
    waited: list[float] = []
    with canned(503, b'{"error": "too much"}', Retry_After="7") as (url, tokens):
        with pytest.raises(UnreachableError, match="too much"):
            Client(url, token="secret", wait=waited.append).corrections()  # noqa: S106 - none of anybody's
        assert tokens == ["Bearer secret"] * 3
    assert waited == [7, 7]


def test_a_killed_server_keeps_what_it_acknowledged_and_the_next_one_goes_on(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "corrections"
    acknowledged: list[str] = []
    line = LineRead(
        image=IMAGES[0], text="x", confidence=0.5, model_version="7", bundle_digest="sha256:" + "b" * 64,
        request_id="r", position=0,
    )  # fmt: skip
    with model_server("--bundle", str(tiny_bundle), "--corrections", str(folder)) as server:
        client = Client(server.url, wait=lambda _: None)

        def send() -> None:
            for number in range(10_000):
                try:
                    acknowledged.append(client.correct(line, f"text {number}", author="Ada"))
                except UnreachableError:
                    return
                if number == 20:
                    enough.set()

        enough = threading.Event()
        sender = threading.Thread(target=send)
        sender.start()
        assert enough.wait(30)
        server.process.send_signal(signal.SIGKILL)
        sender.join()
    assert set(acknowledged) <= set(stored(folder))
    assert len(stored(folder)) - len(acknowledged) in {0, 1}  # one may have lost its answer only
    log = folder / "corrections.jsonl"
    log.write_bytes(log.read_bytes() + b'{"format_version": 1, "kind": "corr')
    with model_server("--bundle", str(tiny_bundle), "--corrections", str(folder)) as server:
        client = Client(server.url)
        assert client.corrections()[1] == len(stored(folder))
        client.correct(line, "after", author="Ada")
        assert server.stop() == 0
    import_corrections(folder, tmp_path / "lines")
    assert [line.text for line in LinesDataset.open(tmp_path / "lines").lines()] == ["after"]  # of one image


def test_the_servers_own_description_says_what_a_correction_holds(site: Site) -> None:
    paths = site.http.get("/openapi.json").json()["paths"]
    content = paths[PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(content["required"]) == set(body("any"))
    assert set(content["properties"]) == {*body("any"), *OPTIONAL}
    assert [one["name"] for one in paths[PATH]["get"]["parameters"]] == ["start", "limit"]
    required = paths[f"{PATH}/withdraw"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "required"
    ]
    assert required == ["id", "author"]


def test_without_the_option_nothing_is_taken_and_a_folder_that_cannot_be_is_refused(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with model_server("--bundle", str(tiny_bundle)) as server:
        assert httpx.post(server.url + PATH, json=body("off")).status_code == 404
        assert httpx.get(server.url + PATH).status_code == 404
    (tmp_path / "file").write_text("")
    ports = ("--http_port", "0", "--grpc_port", "0")
    code, stderr = refused_start("--bundle", str(tiny_bundle), "--corrections", str(tmp_path / "file"), *ports)
    assert code == 2
    assert re.fullmatch(r"error: [^\n]*corrections cannot be written[^\n]+\n", stderr), stderr
