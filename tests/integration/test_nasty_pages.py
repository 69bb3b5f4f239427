"""Every nasty file of pages through the real server: each is answered as nasty_pages.csv says; nothing breaks."""

import base64
import csv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.test_nasty_inputs import MOST_GROWTH_KIB, check_refusal, peak_kib
from tests.nasty_pages import PAGE, PAGES
from tests.servers import ROOT, RunningServer, model_server

V1 = "/v1/models/pages:predict"
V2 = "/v2/models/pages/infer"
with (ROOT / "tests/nasty_pages.csv").open(encoding="utf-8", newline="") as table:
    ROWS = list(csv.DictReader(table))


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[RunningServer]:
    with model_server("--bundle", str(tiny_bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        before = peak_kib(server)
        yield client
        assert client.post(V1, json={"instances": [b64(PAGE)]}).status_code == 200
        assert "Traceback" not in server.stderr.read_text()
        assert peak_kib(server) - before < MOST_GROWTH_KIB


def b64(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_the_table_and_the_generators_know_the_same_files() -> None:
    assert [row["name"] for row in ROWS] == list(dict.fromkeys(row["name"] for row in ROWS))
    assert {row["name"] for row in ROWS} == set(PAGES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_file_of_pages(row: dict[str, str], http: httpx.Client) -> None:
    file = PAGES[row["name"]]()
    answer = http.post(V1, json={"instances": [b64(file)]})
    assert answer.status_code == int(row["status"]), answer.text[:500]
    if row["status"] != "200":
        check_refusal(answer, row)
        assert answer.json()["instance"] == 0
        return
    (prediction,) = answer.json()["predictions"]
    if row["verdicts"] != "*":
        assert set(prediction["verdicts"]) == set(row["verdicts"].split())
    if row["lines"] != "*":
        assert [len(page["lines"]) for page in prediction["pages"]] == [int(n) for n in row["lines"].split()]


def test_a_bad_file_stands_beside_good_ones_where_that_was_asked_for(http: httpx.Client) -> None:
    files = [PAGES[name]() for name in ("pdf_cut", "plain", "svg")]
    sent = {"instances": [b64(file) for file in files], "parameters": {"partial": True}}
    answer = http.post(V1, json=sent)
    assert [one["verdicts"] for one in answer.json()["predictions"]] == [["undecodable"], ["ok"], ["unsupported"]]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"formats": ["docx"]}, "parameters.formats"),
        ({"formats": "text,,alto"}, "parameters.formats"),
        ({"formats": {"text": True}}, "parameters.formats"),
        ({"crops": 1}, "parameters.crops"),
        ({"alternatives": 10**30}, "parameters.alternatives"),
        ({"partial": None}, "parameters.partial"),
        ([], "parameters: expected an object"),
    ],
)
def test_impossible_parameters_are_refused(http: httpx.Client, parameters: object, says: str) -> None:
    answer = http.post(V1, json={"instances": [b64(PAGE)], "parameters": parameters})
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_v2_refuses_what_v1_does(http: httpx.Client) -> None:
    def sent(**changes: object) -> dict[str, object]:
        return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64(PAGE)], **changes}]}

    for body, says in (
        (sent(data=[b64(b"%PDF-1.7")]), "the PDF is damaged"),
        (sent(name="page"), 'one input named "image"'),
        (sent(shape=[9], data=[b64(PAGE)] * 9), "9 images in one request, at most 8"),
        ({**sent(), "outputs": [{"name": "text"}]}, "there is no .'text'."),
        ({**sent(), "parameters": {"formats": "odt"}}, "parameters.formats"),
    ):
        answer = http.post(V2, json=body)
        assert answer.status_code in {400, 413}
        assert says.replace(".'", "['").replace("'.", "']") in answer.json()["error"]
