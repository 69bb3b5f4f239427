"""Other people's clients, unchanged, against our server: KServe's and Triton's, by HTTP and by gRPC."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig

from htr.recogniser import Reading, Recogniser
from tests.conftest import line_png
from tests.servers import ROOT, RunningServer, model_server

IMAGES = [line_png("first line"), line_png("the second one", seed=2), line_png("third", height=48, seed=3)]
BYTES = np.array(IMAGES, dtype=np.object_)


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[RunningServer]:
    with model_server("--bundle", str(tiny_bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def readings(tiny_bundle: Path) -> list[Reading]:
    return Recogniser.load(tiny_bundle).read(IMAGES)


def check(texts: Any, confidences: Any, readings: list[Reading]) -> None:
    found = [text.decode() if isinstance(text, bytes) else text for text in texts]
    assert found == [reading.text for reading in readings]
    assert list(confidences) == pytest.approx([reading.confidence for reading in readings])


def columns(answer: InferResponse) -> tuple[Any, Any]:
    found = {output.name: output.as_numpy() for output in answer.outputs}
    return found["text"], found["confidence"]


def kserve_v1(server: RunningServer) -> tuple[Any, Any]:
    async def ask() -> Any:
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_model_ready(server.url, "htr")
            instances = [{"image": {"b64": base64.b64encode(image).decode()}} for image in IMAGES]
            return await client.infer(server.url, {"instances": instances}, model_name="htr")

    predictions = asyncio.run(ask())["predictions"]
    return [one["text"] for one in predictions], [one["confidence"] for one in predictions]


def kserve_v2(server: RunningServer, *, binary: bool) -> tuple[Any, Any]:
    async def ask() -> Any:
        tensor = InferInput("image", [len(IMAGES)], "BYTES")
        texts = [base64.b64encode(image).decode() for image in IMAGES]
        tensor.set_data_from_numpy(BYTES if binary else np.array(texts, dtype=np.object_), binary_data=binary)
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, "htr")
            return await client.infer(server.url, InferRequest("htr", [tensor]), model_name="htr")

    return columns(asyncio.run(ask()))


def kserve_grpc(server: RunningServer) -> tuple[Any, Any]:
    async def ask() -> Any:
        async with InferenceGRPCClient(server.grpc) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("htr")
            return await client.infer(InferRequest("htr", [InferInput("image", [3], "BYTES", data=IMAGES)]))

    return columns(asyncio.run(ask()))


@pytest.mark.parametrize(
    "ask",
    [
        kserve_v1,
        lambda server: kserve_v2(server, binary=False),
        lambda server: kserve_v2(server, binary=True),
        kserve_grpc,
    ],
    ids=["v1", "v2", "v2-binary", "grpc"],
)
def test_kserves_clients_read_what_the_recogniser_reads(
    ask: Callable[[RunningServer], tuple[Any, Any]], server: RunningServer, readings: list[Reading]
) -> None:
    check(*ask(server), readings)


@pytest.fixture(scope="module")
def triton(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Triton's clients were told."""
    folder = tmp_path_factory.mktemp("images")
    files = [folder / f"{number}.png" for number in range(len(IMAGES))]
    for file, image in zip(files, IMAGES, strict=True):
        file.write_bytes(image)
    command = [
        sys.executable,
        "-m",
        "tests.triton",
        server.url.removeprefix("http://"),
        server.grpc,
        *map(str, files),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("way", ["http", "http, JSON", "grpc"])
def test_tritons_clients_read_what_the_recogniser_reads(
    way: str, triton: dict[str, Any], readings: list[Reading]
) -> None:
    check(triton[way]["texts"], triton[way]["confidences"], readings)
    assert triton[way]["request_id"] == "t-1"


@pytest.mark.parametrize("way", ["http, bad", "grpc, bad"])
def test_tritons_clients_are_told_which_image_is_bad(way: str, triton: dict[str, Any]) -> None:
    assert triton[way]["error"].startswith("instance 1: bytes are not an image")


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_tritons_clients_are_told_what_goes_in_and_comes_out(way: str, triton: dict[str, Any]) -> None:
    expected = {"image": "BYTES", "text": "BYTES", "confidence": "FP32"}
    assert expected.items() <= triton["metadata"][way].items()
