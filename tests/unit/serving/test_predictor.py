import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kserve import InferInput, InferRequest
from PIL import Image

from htr.prediction_log import read_log
from serving.prediction_log import PredictionLog
from serving.predictor import LineReader, ReadingFailedError
from serving.protocol import RequestError, TooLargeError
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
    return LineReader("htr", serve=serve, pool=pool, clock=lambda: NOON, log=log)


def ask(reader: LineReader, *images: bytes, request_id: str = "r-1", outputs: Any = None) -> Any:
    """Send a V2 request through KServe's own order of hooks."""
    tensor = InferInput("image", [len(images)], "BYTES", data=list(images))
    request = InferRequest("htr", [tensor], request_id=request_id, request_outputs=outputs)
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
    assert [tensor["name"] for tensor in reader.get_output_types()] == ["text", "confidence"]
