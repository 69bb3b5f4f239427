"""Files of pages through the model that reads them, as KServe calls it, with a real recogniser in this process."""

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from kserve import InferInput, InferRequest
from PIL import Image

from htr.image import decode
from htr.layout.marks import parse_page_xml
from htr.pages.reading import read_page
from htr.prediction_log import read_log
from htr.verdicts import Verdict
from serving.admission import Admission
from serving.limits import Limits
from serving.line_source import LocalSource
from serving.page_reader import PageReader
from serving.prediction_log import PredictionLog
from serving.refusals import (
    ImageRefusedError,
    ImageTooLargeError,
    NotOfferedError,
    ReadingFailedError,
    RequestError,
    TooLargeError,
    TooSlowError,
)
from serving.served import Served, serve_bundle
from tests.drawn_pages import DrawnPage
from tests.nasty_images import encoded, turned

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERYTHING = {
    "formats": ["text", "alto", "page", "pdf", "overlay"],
    "crops": True,
    "characters": True,
    "alternatives": 2,
}


def drawn(lines: int, *, first: int = 0) -> DrawnPage:
    page = DrawnPage(width=600, height=520)
    page.column(lines, 60, top=60, words=4, first=first)
    return page


def tiff(*pages: DrawnPage) -> bytes:
    images = [Image.fromarray(page.grey()) for page in pages]
    return encoded(images[0], "TIFF", save_all=True, append_images=images[1:])


@pytest.fixture(scope="module")
def served(tiny_bundle: Path) -> Served:
    return serve_bundle(tiny_bundle)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def reader_of(
    served: Served, pool: ThreadPoolExecutor, *, log: PredictionLog | None = None, limits: Limits | None = None
) -> PageReader:
    limits = limits or Limits()
    of_lines = Admission(pool, num_threads=2, limits=limits)
    source = LocalSource(lambda: served, admission=of_lines, log=log)
    of_pages = Admission(pool, num_threads=2, limits=limits)
    return PageReader("pages", source=source, admission=of_pages, clock=lambda: NOON, limits=limits)


def ask(reader: PageReader, *files: bytes, **parameters: Any) -> dict[str, Any]:
    instances = [{"image": {"b64": base64.b64encode(file).decode()}} for file in files]
    answer, _ = asyncio.run(
        reader({"instances": instances, "parameters": parameters}, headers={"x-request-id": "r-1"})
    )
    assert isinstance(answer, dict)
    return answer


def test_a_page_is_answered_as_the_library_reads_it(served: Served, pool: ThreadPoolExecutor) -> None:
    page = drawn(5)
    answer = ask(reader_of(served, pool), page.png())
    expected = read_page(served.recogniser, page.grey())
    ((found,),) = (one["pages"] for one in answer["predictions"])
    assert (found["page"], found["width"], found["height"]) == (1, 600, 520)
    assert [line["text"] for line in found["lines"]] == [line.text for line in expected.lines]
    assert len(found["lines"]) == 5
    assert [line["position"] for line in found["lines"]] == list(range(5))
    assert [[word["text"] for word in line["words"]] for line in found["lines"]] == [
        [word.text for word in line.words] for line in expected.lines
    ]
    assert set(found["lines"][0]) == {
        "region", "polygon", "baseline", "text", "confidence", "words", "position", "verdicts"
    }  # fmt: skip
    assert answer["predictions"][0]["files"] == {}
    assert (answer["request_id"], answer["bundle_digest"]) == ("r-1", served.recogniser.digest)


def test_what_is_asked_for_is_there_and_a_crop_reads_as_its_line(served: Served, pool: ThreadPoolExecutor) -> None:
    page = drawn(3)
    (prediction,) = ask(reader_of(served, pool), page.png(), **EVERYTHING)["predictions"]
    for line in prediction["pages"][0]["lines"]:
        crop = base64.b64decode(line["crop"]["b64"])
        (again,) = served.recogniser.read([crop], characters=True, alternatives=2)
        assert line["text"] == again.text
        assert "".join(one["character"] for one in line["characters"]) == again.text
        assert line["alternatives"][0]["text"] == again.text
    files = prediction["files"]
    texts = [line["text"] for line in prediction["pages"][0]["lines"]]
    assert [text for text in files["text"].splitlines() if text] == [text for text in texts if text]
    assert [len(files[name]) for name in ("alto", "page", "overlay")] == [1, 1, 1]
    assert Image.open(io.BytesIO(base64.b64decode(files["overlay"][0]))).format == "JPEG"
    assert "2026-01-01T12:00:00Z" in files["page"][0]
    assert len(pypdfium2.PdfDocument(base64.b64decode(files["pdf"]))) == 1


@pytest.mark.parametrize("kind", ["alto", "page"])
def test_xml_holds_the_lines_of_the_answer(
    served: Served, pool: ThreadPoolExecutor, tmp_path: Path, kind: str
) -> None:
    (prediction,) = ask(reader_of(served, pool), drawn(3).png(), formats=[kind])["predictions"]
    (tmp_path / "a.xml").write_text(prediction["files"][kind][0], encoding="utf-8")
    marked = parse_page_xml(tmp_path / "a.xml")
    assert len(marked.lines) == len(prediction["pages"][0]["lines"]) == 3


def test_pages_of_a_file_and_files_of_a_request_count_their_lines_through(
    served: Served, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    log = PredictionLog(tmp_path)
    files = [tiff(drawn(2), drawn(3, first=7)), drawn(2, first=4).png()]
    answer = ask(reader_of(served, pool, log=log), *files, formats=["text"])
    log.close()
    first, second = answer["predictions"]
    assert [page["page"] for page in first["pages"]] == [1, 2]
    assert first["files"]["text"].count("\f") == 1
    lines = [line for one in (first, second) for page in one["pages"] for line in page["lines"]]
    assert [line["position"] for line in lines] == list(range(7))
    rows = read_log(tmp_path)
    assert sorted(rows["position"].to_pylist()) == list(range(7))
    assert set(rows["request_id"].to_pylist()) == {"r-1"}


def test_a_pdf_is_read_page_by_page(served: Served, pool: ThreadPoolExecutor) -> None:
    reader = reader_of(served, pool)
    (scanned,) = ask(reader, tiff(drawn(2), drawn(3)), formats=["pdf"])["predictions"]
    (again,) = ask(reader, base64.b64decode(scanned["files"]["pdf"]))["predictions"]
    assert [len(page["lines"]) for page in again["pages"]] == [2, 3]


def test_v2_says_the_same_as_json(served: Served, pool: ThreadPoolExecutor) -> None:
    reader, page = reader_of(served, pool), drawn(2)
    tensor = InferInput("image", [1], "BYTES", data=[page.png()])
    request = InferRequest("pages", [tensor], request_id="r-1", parameters={"formats": "text,alto", "crops": True})
    response, _ = asyncio.run(reader(request))
    (output,) = response.outputs
    expected = ask(reader, page.png(), formats=["text", "alto"], crops=True)["predictions"]
    assert (output.name, output.datatype, output.shape) == ("pages", "BYTES", [1])
    assert [json.loads(one) for one in output.data] == json.loads(json.dumps(expected))
    assert (response.id, response.model_version) == ("r-1", served.version)


def test_a_file_says_how_it_lay_and_what_was_not_there(served: Served, pool: ThreadPoolExecutor) -> None:
    page = Image.fromarray(drawn(3).grey())
    dark = Image.fromarray(255 - drawn(3).grey())
    blank = Image.new("L", (300, 300), 230)
    files = [encoded(page), turned(6, "JPEG", page), encoded(dark), encoded(blank)]
    answer = ask(reader_of(served, pool), *files)
    assert [one["verdicts"] for one in answer["predictions"]] == [
        ["ok"],
        ["rotated_and_fixed"],
        ["inverted_and_fixed"],
        ["blank"],
    ]
    assert answer["predictions"][3]["pages"][0]["lines"] == []


def test_crops_of_light_writing_on_dark_are_as_they_were_read(served: Served, pool: ThreadPoolExecutor) -> None:
    dark = encoded(Image.fromarray(255 - drawn(2).grey()))
    (prediction,) = ask(reader_of(served, pool), dark, crops=True)["predictions"]
    for line in prediction["pages"][0]["lines"]:
        crop = base64.b64decode(line["crop"]["b64"])
        assert decode(crop).mean() > 128
        assert served.recogniser.read([crop])[0].text == line["text"]


def test_a_bad_file_refuses_the_request_unless_partial_answers_are_wanted(
    served: Served, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    log = PredictionLog(tmp_path)
    reader, good = reader_of(served, pool, log=log), drawn(1).png()
    with pytest.raises(ImageRefusedError, match=r"^instance 1: ") as refused:
        ask(reader, good, b"%PDF-1.7 and nothing more")
    assert (refused.value.verdict, refused.value.request_id) == (Verdict.UNDECODABLE, "r-1")
    answer = ask(reader, b"<svg/>", good, good[:300], partial=True)
    log.close()
    assert [one["verdicts"] for one in answer["predictions"]] == [["unsupported"], ["ok"], ["undecodable"]]
    assert [bool(one.get("error")) for one in answer["predictions"]] == [True, False, True]
    assert [len(one["pages"]) for one in answer["predictions"]] == [0, 1, 0]
    assert read_log(tmp_path)["position"].to_pylist() == [0], "what was refused has no rows"


def test_xml_holds_the_name_that_the_request_gives(served: Served, pool: ThreadPoolExecutor) -> None:
    instance = {"image": {"b64": base64.b64encode(drawn(1).png()).decode()}, "name": "brève & longue.png"}
    asked = {"instances": [instance], "parameters": {"formats": ["alto", "page"]}}
    answer, _ = asyncio.run(reader_of(served, pool)(asked))
    files = answer["predictions"][0]["files"]
    assert "<fileName>brève &amp; longue.png</fileName>" in files["alto"][0]
    assert 'imageFilename="brève &amp; longue.png"' in files["page"][0]


@pytest.mark.parametrize("name", [7, None, "a\nb", "x" * 256])
def test_a_name_that_is_none_is_refused(served: Served, pool: ThreadPoolExecutor, name: object) -> None:
    instance = {"image": {"b64": base64.b64encode(drawn(1).png()).decode()}, "name": name}
    with pytest.raises(RequestError, match="instance 0: name: expected"):
        asyncio.run(reader_of(served, pool)({"instances": [instance]}))


def test_limits_are_kept_before_anything_is_decoded_or_read(served: Served, pool: ThreadPoolExecutor) -> None:
    limits = Limits(max_files=2, max_pages=3, max_page_pixels=600 * 520, max_lines=4)
    reader = reader_of(served, pool, limits=limits)
    small, large = drawn(1), DrawnPage(width=700, height=520)
    with pytest.raises(TooLargeError, match="3 images in one request, at most 2"):
        ask(reader, *[small.png()] * 3)
    with pytest.raises(ImageTooLargeError, match="instance 0: file has more than the 3 pages"):
        ask(reader, tiff(*[small] * 4))
    with pytest.raises(TooLargeError, match="the files up to instance 1 have 4 pages, at most 3"):
        ask(reader, tiff(small, small), tiff(small, small))
    with pytest.raises(ImageTooLargeError, match=r"instance 0: .*at most 312000 are read"):
        ask(reader, large.png())
    with pytest.raises(ImageTooLargeError, match="instance 0: page 1 has 5 lines, at most 4") as refused:
        ask(reader, drawn(5).png())
    assert refused.value.status == 413


def test_a_page_that_takes_too_long_is_given_up(served: Served, pool: ThreadPoolExecutor) -> None:
    reader = reader_of(served, pool, limits=Limits(max_seconds=1e-9))
    with pytest.raises(TooSlowError):
        ask(reader, drawn(1).png())


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"formats": "docx"}, "formats: expected some of .*got .'docx'"),
        ({"formats": [["text"]]}, "formats"),
        ({"formats": 7}, "formats"),
        ({"crops": "yes"}, "crops: expected true or false"),
        ({"alternatives": 21}, "alternatives"),
    ],
)
def test_an_impossible_parameter_is_refused_by_name(
    served: Served, pool: ThreadPoolExecutor, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        ask(reader_of(served, pool), drawn(1).png(), **parameters)


def test_a_fault_of_ours_does_not_reach_the_client(
    pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Served:
        raise RuntimeError("the password is swordfish")

    admission = Admission(pool, num_threads=2, limits=Limits())
    source = LocalSource(broken, admission=admission)
    reader = PageReader("pages", source=source, admission=admission, clock=lambda: NOON)
    with pytest.raises(ReadingFailedError) as failed:
        ask(reader, drawn(1).png())
    assert failed.value.details == "internal error, request id r-1"
    assert "swordfish" in caplog.text


def test_there_is_no_explainer_and_one_input_and_output(served: Served, pool: ThreadPoolExecutor) -> None:
    reader = reader_of(served, pool)
    with pytest.raises(NotOfferedError):
        asyncio.run(reader.explain(None))
    assert [one["name"] for one in reader.get_input_types()] == ["image"]
    assert [one["name"] for one in reader.get_output_types()] == ["pages"]
