import asyncio
import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kserve import InferInput, InferRequest
from kserve.model import InferenceVerb
from PIL import Image

from htr.prediction_log import read_log
from htr.verdicts import Verdict
from serving.admission import Admission
from serving.limits import Limits
from serving.prediction_log import PredictionLog
from serving.predictor import LineReader
from serving.refusals import (
    ImageRefusedError,
    NotOfferedError,
    ReadingFailedError,
    RequestError,
    TooLargeError,
    TooSlowError,
)
from serving.served import Served, serve_bundle
from tests.conftest import line_png

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def reader_of(
    serve: Callable[[], Served], pool: ThreadPoolExecutor, log: PredictionLog | None = None
) -> LineReader:
    limits = Limits()
    admission = Admission(pool, num_threads=2, limits=limits)
    return LineReader("htr", serve=serve, admission=admission, clock=lambda: NOON, log=log, limits=limits)


def ask(reader: LineReader, *images: bytes, request_id: str = "r-1", parameters: Any = None) -> Any:
    """Send a V2 request through KServe's own order of hooks."""
    tensor = InferInput("image", [len(images)], "BYTES", data=list(images))
    request = InferRequest("htr", [tensor], request_id=request_id, parameters=parameters)
    response, _ = asyncio.run(reader(request, headers={}))
    return response


def test_readings_are_those_of_the_recogniser_and_each_leaves_a_row(
    tiny_bundle: Path, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    served = serve_bundle(tiny_bundle, version="7")
    log = PredictionLog(tmp_path)
    images = [line_png("first line"), line_png("second", seed=3)]
    response = ask(reader_of(lambda: served, pool, log), *images)
    log.close()
    expected = served.recogniser.read(images)
    assert response.outputs[0].data == [reading.text for reading in expected]
    assert response.outputs[1].data == [reading.confidence for reading in expected]
    assert (response.id, response.model_version) == ("r-1", "7")
    rows = read_log(tmp_path)
    assert rows["position"].to_pylist() == [0, 1]
    assert rows["time"].to_pylist() == [NOON, NOON]
    assert set(rows["model_version"].to_pylist()) == {"7"}
    assert set(rows["bundle_digest"].to_pylist()) == {served.recogniser.digest}
    assert rows["width"].to_pylist() == [12.0 + 9 * 10, 12.0 + 9 * 6]


def test_one_bad_image_refuses_the_request_and_leaves_no_row(
    tiny_bundle: Path, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    served = serve_bundle(tiny_bundle)
    log = PredictionLog(tmp_path)
    with pytest.raises(RequestError, match=r"^instance 1: bytes are not an image"):
        ask(reader_of(lambda: served, pool, log), line_png("fine"), b"not an image")
    log.close()
    assert len(read_log(tmp_path)) == 0


def test_an_image_of_too_many_pixels_is_too_large(tiny_bundle: Path, pool: ThreadPoolExecutor) -> None:
    poster = io.BytesIO()
    Image.new("1", (8000, 6000)).save(poster, "PNG")
    served = serve_bundle(tiny_bundle)
    with pytest.raises(TooLargeError, match="instance 0: image"):
        ask(reader_of(lambda: served, pool), poster.getvalue())


def test_a_fault_of_ours_reaches_the_log_and_not_the_client(
    pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Served:
        raise RuntimeError("the password is swordfish")

    with pytest.raises(ReadingFailedError) as failed, caplog.at_level(logging.ERROR, logger="serving"):
        ask(reader_of(broken, pool), line_png("a"), request_id="r-9")
    assert failed.value.details == "internal error, request id r-9"
    assert "request r-9 failed" in caplog.text
    assert "swordfish" in caplog.text


def test_an_unfit_request_id_is_replaced(tiny_bundle: Path, pool: ThreadPoolExecutor) -> None:
    served = serve_bundle(tiny_bundle)
    response = ask(reader_of(lambda: served, pool), line_png("a"), request_id="a\nb")
    assert len(response.id) == 36


def test_metadata_names_inputs_and_outputs(pool: ThreadPoolExecutor, tiny_bundle: Path) -> None:
    served = serve_bundle(tiny_bundle)
    reader = reader_of(lambda: served, pool)
    assert [tensor["name"] for tensor in reader.get_input_types()] == ["image"]
    names = [tensor["name"] for tensor in reader.get_output_types()]
    assert names == ["text", "confidence", "verdicts", "characters", "alternatives", "error"]


def test_v1_gives_characters_and_alternatives_where_they_are_asked_for(
    tiny_bundle: Path, pool: ThreadPoolExecutor
) -> None:
    served, image = serve_bundle(tiny_bundle), line_png("a longer line of text")
    reader = reader_of(lambda: served, pool)
    instances = [base64.b64encode(image).decode()]
    plain, _ = asyncio.run(reader({"instances": instances}))
    asked, _ = asyncio.run(reader({"instances": instances, "parameters": {"characters": True, "alternatives": 3}}))
    (expected,) = served.recogniser.read([image], characters=True, alternatives=3)
    (prediction,) = asked["predictions"]
    assert set(plain["predictions"][0]) == {"text", "confidence", "verdicts"}
    assert prediction["text"] == plain["predictions"][0]["text"] == expected.text
    assert prediction["characters"] == [asdict(one) for one in expected.characters or ()]
    assert prediction["alternatives"] == [asdict(one) for one in expected.alternatives]
    assert expected.characters
    assert 1 <= len(expected.alternatives) <= 3


def test_v2_gives_them_as_json_a_line(tiny_bundle: Path, pool: ThreadPoolExecutor) -> None:
    served, images = serve_bundle(tiny_bundle), [line_png("one line"), line_png("another", seed=2)]
    response = ask(reader_of(lambda: served, pool), *images, parameters={"characters": True, "alternatives": 2})
    outputs = {output.name: output.data for output in response.outputs}
    expected = served.recogniser.read(images, characters=True, alternatives=2)
    assert [json.loads(text) for text in outputs["characters"]] == [
        [asdict(one) for one in reading.characters or ()] for reading in expected
    ]
    assert [json.loads(text) for text in outputs["alternatives"]] == [
        [asdict(one) for one in reading.alternatives] for reading in expected
    ]


def test_a_partial_answer_says_what_is_wrong_in_the_place_of_a_reading_and_logs_only_readings(
    tiny_bundle: Path, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    served, log = serve_bundle(tiny_bundle), PredictionLog(tmp_path)
    images = [line_png("fine")[:200], line_png("fine"), b"%PDF-1.7"]
    response = ask(reader_of(lambda: served, pool, log), *images, parameters={"partial": True})
    log.close()
    outputs = {output.name: output.data for output in response.outputs}
    assert outputs["verdicts"] == ["undecodable", "ok", "unsupported"]
    assert outputs["text"] == ["", served.recogniser.read([images[1]])[0].text, ""]
    assert [bool(text) for text in outputs["error"]] == [True, False, True]
    assert read_log(tmp_path)["position"].to_pylist() == [1]


def test_a_refused_image_is_named_with_its_verdict(tiny_bundle: Path, pool: ThreadPoolExecutor) -> None:
    served = serve_bundle(tiny_bundle)
    with pytest.raises(ImageRefusedError) as refused:
        ask(reader_of(lambda: served, pool), line_png("fine"), b"<svg></svg>", request_id="r-3")
    assert (refused.value.instance, refused.value.verdict) == (1, Verdict.UNSUPPORTED)
    assert refused.value.request_id == "r-3"


def test_a_request_that_takes_too_long_is_given_up_and_not_logged(
    tiny_bundle: Path, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    served, log = serve_bundle(tiny_bundle), PredictionLog(tmp_path)
    limits = Limits(max_seconds=1e-9)
    admission = Admission(pool, num_threads=2, limits=limits)
    reader = LineReader(
        "htr", serve=lambda: served, admission=admission, clock=lambda: NOON, log=log, limits=limits
    )
    with pytest.raises(TooSlowError) as refused:
        ask(reader, line_png("a"), request_id="r-5")
    assert refused.value.request_id == "r-5"
    log.close()
    assert len(read_log(tmp_path)) == 0


def test_there_is_no_explainer(tiny_bundle: Path, pool: ThreadPoolExecutor) -> None:
    served = serve_bundle(tiny_bundle)
    with pytest.raises(NotOfferedError):
        asyncio.run(reader_of(lambda: served, pool)({"instances": []}, verb=InferenceVerb.EXPLAIN))
