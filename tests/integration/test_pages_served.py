"""Pages over HTTP: one process that does it all, and a transformer in front of it, answer the same."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from PIL import Image

from htr.correction_store import CorrectionStore
from htr.prediction_log import read_log
from serving.client import Client, RefusedError
from tests.drawn_pages import DrawnPage
from tests.nasty_images import encoded
from tests.servers import RunningServer, model_server, refused_start, untaught_bundle, wait_until

PAGES = "/v1/models/pages:predict"
LINES = "/v1/models/htr:predict"
TOKEN = "a-token-of-more-than-16"  # noqa: S105 - opens a test server
ALL = {
    "formats": ["text", "alto", "page", "pdf", "overlay"],
    "crops": True,
    "characters": True,
    "alternatives": 3,
    "partial": True,
}


def page(lines: int = 9, *, first: int = 0) -> DrawnPage:
    drawn = DrawnPage(width=800)
    drawn.column(lines, 60, words=6, first=first)
    return drawn


def body(*files: bytes, **parameters: Any) -> dict[str, Any]:
    return {"instances": [{"b64": base64.b64encode(file).decode()} for file in files], "parameters": parameters}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server of lines and pages, and a transformer that has it read its lines."""

    server: RunningServer
    transformer: RunningServer
    one: httpx.Client
    two: httpx.Client
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    bundle = untaught_bundle(folder / "bundle", seed=5)
    (folder / "token").write_text(TOKEN)
    kept = ("--log-dir", str(folder / "log"), "--corrections", str(folder / "corrections"))
    secret = ("--token-file", str(folder / "token"))
    headers = {"authorization": f"Bearer {TOKEN}"}
    with model_server("--bundle", str(bundle), "--threads", "2", *kept, *secret) as server:
        asks = ("--predictor_host", server.url, "--predictor-token-file", str(folder / "token"))
        with (
            model_server(*asks, module="serving.pages") as transformer,
            httpx.Client(base_url=server.url, timeout=60, headers=headers) as one,
            httpx.Client(base_url=transformer.url, timeout=60) as two,
        ):
            yield Site(server=server, transformer=transformer, one=one, two=two, folder=folder)


def test_one_process_and_two_answer_the_same_to_the_byte(site: Site) -> None:
    scan = encoded(
        Image.fromarray(page().grey()), "TIFF", save_all=True, append_images=[Image.fromarray(page(4).grey())]
    )
    dark = encoded(Image.fromarray(255 - page(2).grey()), "JPEG", quality=90)
    blank = encoded(Image.new("L", (300, 300), 230))
    for files in ([scan, b"no page", dark], [blank]):
        answers = [
            http.post(PAGES, json=body(*files, **ALL), headers={"x-request-id": "twice"})
            for http in (site.one, site.two)
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        dated = rb"<(Created|LastChange)>[^<]*"
        assert re.sub(dated, b"", answers[0].content) == re.sub(dated, b"", answers[1].content)
    assert len(answers[0].json()["predictions"]) == 1
    pages = site.one.post(PAGES, json=body(scan)).json()["predictions"][0]["pages"]
    assert [len(one["lines"]) for one in pages] == [9, 4]


def test_v2_and_v1_say_the_same_on_both(site: Site) -> None:
    file = base64.b64encode(page(3).png()).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [file]}
    sent = {"inputs": [tensor], "parameters": {"formats": "text,alto", "crops": True}, "id": "v2"}
    expected = site.one.post(PAGES, json=body(page(3).png(), formats=["text", "alto"], crops=True)).json()
    for http in (site.one, site.two):
        answer = http.post("/v2/models/pages/infer", json=sent).json()
        (output,) = answer["outputs"]
        assert (answer["id"], output["name"]) == ("v2", "pages")
        assert [json.loads(one) for one in output["data"]] == expected["predictions"]


def test_grpc_says_the_same(site: Site) -> None:
    async def ask() -> Any:
        tensor = InferInput("image", [1], "BYTES", data=[page(3).png()])
        request = InferRequest("pages", [tensor], parameters={"formats": "text"})
        async with InferenceGRPCClient(site.transformer.grpc) as client:
            return await client.infer(request)

    (found,) = asyncio.run(ask()).outputs[0].as_numpy().tolist()
    expected = site.one.post(PAGES, json=body(page(3).png(), formats=["text"])).json()["predictions"]
    assert json.loads(found) == expected[0]


def test_a_crop_sent_to_the_line_route_reads_as_the_line_of_the_page(site: Site) -> None:
    answer = site.two.post(PAGES, json=body(page().png(), **ALL)).json()
    lines = answer["predictions"][0]["pages"][0]["lines"]
    parameters = {"characters": True, "alternatives": 3}
    sent = {"instances": [line["crop"] for line in lines], "parameters": parameters}
    read = site.one.post(LINES, json=sent).json()["predictions"]
    assert [one["text"].encode() for one in read] == [line["text"].encode() for line in lines]
    for name in ("characters", "alternatives", "verdicts"):
        assert [one[name] for one in read] == [line[name] for line in lines]
    assert [round(one["confidence"], 4) for one in read] == [line["confidence"] for line in lines]


def test_every_line_of_a_page_has_its_row_whoever_found_it(site: Site) -> None:
    for name, http in (("rows-of-one", site.one), ("rows-of-two", site.two)):
        assert http.post(PAGES, json=body(page().png()), headers={"x-request-id": name}).status_code == 200

    def positions(name: str) -> list[int]:
        table = read_log(site.folder / "log")
        ids, places = (table[column].to_pylist() for column in ("request_id", "position"))
        return sorted(place for one, place in zip(ids, places, strict=True) if one == name)

    wait_until(lambda: len(positions("rows-of-one")) == len(positions("rows-of-two")) == 9)
    assert positions("rows-of-one") == positions("rows-of-two") == list(range(9))


def test_the_client_reads_a_page_and_corrects_a_line_of_it(site: Site) -> None:
    client = Client(site.server.url, token=TOKEN)
    found = client.read_page(
        page().png(), formats=["text", "pdf", "overlay"], crops=True, characters=True, alternatives=2
    )
    assert found.pdf.startswith(b"%PDF")
    assert (len(found.overlay), found.alto, found.verdicts) == (1, (), ("ok",))
    line = found.lines[4]
    assert line.text == line.alternatives[0].text == "".join(one.character for one in line.characters)
    assert [one.position for one in found.lines] == list(range(9))
    key = client.correct(line, "one brown fox", author="me", page="letter", line="4")
    (stored,), count = CorrectionStore(site.folder / "corrections").read()
    assert (count, stored.correction.id, stored.correction.position) == (1, key, 4)
    assert stored.correction.request_id == line.request_id
    assert CorrectionStore(site.folder / "corrections").image_file(stored.correction).read_bytes() == line.image
    with pytest.raises(ValueError, match="crops=True"):
        client.correct(client.read_page(page(1).png()).lines[0], "text", author="me")
    with pytest.raises(RefusedError, match="not an image"):
        client.read_page(b"no page")


def test_both_know_both_models_and_the_transformer_only_its_own(site: Site) -> None:
    assert site.one.get("/v2/models").json()["models"] == ["htr", "pages"]
    assert site.two.get("/v2/models").json()["models"] == ["pages"]
    assert site.two.post(LINES, json={}).status_code == 404
    paths = site.two.get("/openapi.json").json()["paths"]
    request = paths["/v1/models/{model_name}:predict"]["post"]["requestBody"]["content"]["application/json"]
    assert request["schema"]["$ref"].endswith("/V1PagesRequest")


def test_pages_can_be_off_or_under_another_name(tiny_bundle: Path) -> None:
    with model_server("--bundle", str(tiny_bundle), "--pages", "off") as server:
        refused = httpx.post(server.url + PAGES, json=body(page(1).png()))
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_model")
        assert "/v1/models/pages:predict" not in httpx.get(server.url + "/openapi.json").json()["paths"]
    code, error = refused_start("--bundle", str(tiny_bundle), "--pages", "htr")
    assert (code, "--pages htr" in error) == (2, True)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--predictor_host", "ftp://a"], "expected http://host:port"),
        (["--predictor_host", "a:99999"], "expected http://host:port"),
        (["--predictor_host", "a:80", "--host", "0.0.0.0"], "--token-file"),  # noqa: S104 - it is refused
        (["--predictor_host", "a:80", "--predictor-token-file", "/nowhere"], "--predictor-token-file"),
    ],
)
def test_a_transformer_refuses_settings_that_cannot_work(args: list[str], says: str) -> None:
    code, error = refused_start(*args, module="serving.pages")
    assert code == 2
    assert says in error
    assert "Traceback" not in error


def test_a_transformer_says_when_its_predictor_wants_something_else(site: Site) -> None:
    code, error = refused_start("--predictor_host", site.server.url, module="serving.pages")
    assert (code, "--predictor-token-file" in error) == (2, True)


def test_a_predictor_that_goes_away_is_a_503_and_comes_back(tiny_bundle: Path) -> None:
    with model_server("--bundle", str(tiny_bundle)) as server:
        port = server.url.rpartition(":")[2]
        with model_server("--predictor_host", server.url, module="serving.pages") as transformer:
            url = transformer.url + PAGES
            assert httpx.post(url, json=body(page(2).png()), timeout=60).status_code == 200
            server.stop()
            refused = httpx.post(url, json=body(page(2).png()), timeout=60)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["code"] == "predictor_away"
            assert port not in refused.json()["error"]
            with model_server("--bundle", str(tiny_bundle), http_port=port):
                assert httpx.post(url, json=body(page(2).png()), timeout=60).status_code == 200
            assert "Traceback" not in transformer.stderr.read_text()
