"""The description at /openapi.json and the running server say the same: Schemathesis tries one on the other."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from tests.conftest import line_png
from tests.servers import RunningServer, model_server

IMAGES = [
    line_png("a line", height=64),
    line_png("another line", height=80, seed=2),
    line_png("a high one", height=120, seed=3),
]
schemathesis.openapi.format("byte", st.sampled_from([base64.b64encode(image).decode() for image in IMAGES]))
TRIES = settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[RunningServer]:
    with model_server("--bundle", str(tiny_bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: RunningServer) -> BaseSchema:
    expected = {
        "positive_data_acceptance": {"expected-statuses": [200, 403]},  # 403: to load and unload models
        "negative_data_rejection": {"expected-statuses": [400, 403, 404, 413]},
    }
    config = schemathesis.Config.from_dict({"checks": expected})
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)


OPERATIONS = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model_name}"),
    ("POST", "/v1/models/{model_name}:predict"),
    ("POST", "/v1/models/pages:predict"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/v2/models"),
    ("GET", "/v2/models/{model_name}"),
    ("GET", "/v2/models/{model_name}/ready"),
    ("POST", "/v2/models/{model_name}/infer"),
    ("POST", "/v2/models/pages/infer"),
    ("POST", "/v2/repository/models/{model_name}/load"),
    ("POST", "/v2/repository/models/{model_name}/unload"),
]


def test_every_operation_is_tried(api: BaseSchema) -> None:
    described = {(one.ok().method.upper(), one.ok().path) for one in api.get_all_operations()}
    assert described == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_fits_the_description_is_answered_as_described(api: BaseSchema, method: str, path: str) -> None:
    @given(api[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    @TRIES
    def run(case: schemathesis.Case) -> None:
        if path.endswith("/infer"):  # the one thing that no schema can say
            for tensor in case.body["inputs"]:
                tensor["shape"] = [len(tensor["data"])]
        case.call_and_validate()

    run()


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one[0] == "POST" or "{" in one[1]])
def test_what_does_not_fit_it_is_refused_as_described(api: BaseSchema, method: str, path: str) -> None:
    @given(api[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @TRIES
    def run(case: schemathesis.Case) -> None:
        case.call_and_validate()

    run()


def test_the_description_shows_our_payloads(server: RunningServer) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path, request in (
        ("/v1/models/{model_name}:predict", "V1Request"),
        ("/v2/models/{model_name}/infer", "V2Request"),
        ("/v1/models/pages:predict", "V1PagesRequest"),
        ("/v2/models/pages/infer", "V2PagesRequest"),
    ):
        operation: dict[str, Any] = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"].endswith(f"/{request}")
        assert {"200", "400", "404", "413", "429", "503"} <= set(operation["responses"])
        assert "Retry-After" in operation["responses"]["429"]["headers"]
    assert "securitySchemes" not in document["components"]
