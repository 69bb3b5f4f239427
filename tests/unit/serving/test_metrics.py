from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from htr.verdicts import Verdict
from serving.admission import Admission
from serving.limits import Limits
from serving.line_source import LocalSource
from serving.metrics import Metrics, ServerState
from serving.prediction_log import PredictionLog
from serving.refusals import BusyError, ImageRefusedError, RequestError, TooSlowError
from serving.served import serve_bundle
from serving.wanted import Wanted
from tests.conftest import line_png
from tests.fakes import NOON


def values(registry: CollectorRegistry) -> dict[str, float]:
    """Return every sample as ``name{label,...}`` -> value."""
    return {
        f"{one.name}{{{','.join(one.labels.values())}}}": one.value
        for family in registry.collect()
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_readings_are_counted_with_their_doubt_and_their_verdicts(tiny_bundle: Path) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    outcomes = list(serve_bundle(tiny_bundle).recogniser.observe([line_png("one"), line_png("two")]))
    refused = ImageRefusedError("damaged", instance=2, verdict=Verdict.UNDECODABLE)
    metrics.answered("7", [*outcomes, refused], 0.3)
    found = values(registry)
    assert found["quillflow_requests_total{7,read}"] == 1
    assert found["quillflow_readings_total{7}"] == 2
    assert found["quillflow_reading_doubt_count{7}"] == 2
    doubt = sum(1 - one.reading.confidence for one in outcomes)
    assert abs(found["quillflow_reading_doubt_sum{7}"] - doubt) < 1e-9
    assert found["quillflow_line_verdicts_total{undecodable}"] == 1
    assert found["quillflow_request_seconds_sum{7}"] == 0.3


def test_lines_of_pages_are_counted_when_their_request_is_answered(tiny_bundle: Path) -> None:
    registry = CollectorRegistry()
    served = serve_bundle(tiny_bundle, version="7")
    piece: Any = SimpleNamespace(grey=np.full((40, 200), 230, np.uint8))
    with ThreadPoolExecutor(1) as pool:
        admission = Admission(pool, num_threads=1, limits=Limits())
        lines = LocalSource(lambda: served, admission=admission, metrics=Metrics(registry)).open("r", Wanted())
        lines.read([piece, piece], lambda line: piece, lambda *_: None, lambda: None)
    lines.keep(NOON)
    assert values(registry)["quillflow_readings_total{7}"] == 2


def test_what_is_the_clients_affair_is_no_failure_of_ours() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for error in (RequestError("no instances"), BusyError("full")):
        metrics.unanswered("7", error, 0.1)
    for failure in (TooSlowError("late"), KeyError("a fault of ours")):
        metrics.unanswered("7", failure, 9.0)
    metrics.refused(429)
    found = values(registry)
    assert found["quillflow_requests_total{7,refused}"] == 2
    assert found["quillflow_requests_total{7,failed}"] == 2
    assert found["quillflow_request_seconds_count{7}"] == 2
    assert found["quillflow_http_refusals_total{429}"] == 1


def test_the_servers_parts_are_asked_when_prometheus_asks(tiny_bundle: Path, tmp_path: Path) -> None:
    served = serve_bundle(tiny_bundle, version="7")
    log = PredictionLog(tmp_path, max_rows=1, flush_s=60)
    log.append([{}, {}, {}])
    registry = CollectorRegistry()
    with ThreadPoolExecutor(1) as pool:
        admission = Admission(pool, num_threads=2, limits=Limits())
        registry.register(ServerState(lambda: served, admission, log))
        found = values(registry)
    assert found[f"quillflow_model_info{{7,{served.recogniser.digest}}}"] == 1
    assert found["quillflow_requests_pending{}"] == 0
    assert found["quillflow_prediction_log_dropped_total{}"] == 2
