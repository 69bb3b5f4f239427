"""Readings in, answers out: KServe's V1 and V2 protocols, without the server.

V1    {"predictions": [PREDICTION, ...], "model_version", "request_id", "bundle_digest"}
      PREDICTION is {"text", "confidence", "verdicts": [WORD, ...]}, with "characters" and "alternatives" where
      they were asked for, and with "error" where a partial answer says why there is no reading
V2    outputs "text" BYTES, "confidence" FP32 and "verdicts" BYTES (words with commas between), each of shape [n];
      where they were asked for, by a parameter or by name, "characters" and "alternatives", BYTES, a JSON array a
      line, and in partial answers "error", BYTES, "" where the line was read; version, request id and digest among
      the parameters
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from kserve import InferOutput

from htr.recogniser import Observation
from serving.protocol import shown
from serving.refusals import ImageRefusedError, RequestError
from serving.stamp import Stamp
from serving.wanted import Wanted

OUTPUTS = {"text": "BYTES", "confidence": "FP32", "verdicts": "BYTES"}
EXTRA_OUTPUTS = {"characters": "BYTES", "alternatives": "BYTES", "error": "BYTES"}
"""V2 outputs that are there where they were asked for."""
Outcome = Observation | ImageRefusedError
"""What became of one image."""


def v1_answer(outcomes: Sequence[Outcome], stamp: Stamp, wanted: Wanted) -> dict[str, Any]:
    """Return the V1 body for what became of the images, in request order."""
    return {"predictions": [prediction(outcome, wanted) for outcome in outcomes], **asdict(stamp)}


def v2_outputs(outcomes: Sequence[Outcome], wanted: Wanted) -> list[InferOutput]:
    """Return the V2 output tensors for what became of the images, in request order."""
    rows = [prediction(outcome, wanted) for outcome in outcomes]
    columns: dict[str, list[Any]] = {
        "text": [row["text"] for row in rows],
        "confidence": [row["confidence"] for row in rows],
        "verdicts": [",".join(row["verdicts"]) for row in rows],
    }
    for name in ("characters", "alternatives"):
        if getattr(wanted, name):
            columns[name] = [orjson.dumps(row.get(name, [])).decode() for row in rows]
    if wanted.partial:
        columns["error"] = [row.get("error", "") for row in rows]
    return [
        InferOutput(name, [len(rows)], (OUTPUTS | EXTRA_OUTPUTS)[name], data=column)
        for name, column in columns.items()
    ]


def check_outputs(names: Sequence[str]) -> None:
    """Check the outputs that a V2 request asks for by name; none means all of OUTPUTS.

    Raises:
        RequestError: there is no such output.
    """
    offered = [*OUTPUTS, *EXTRA_OUTPUTS]
    if unknown := sorted(set(names) - set(offered)):
        raise RequestError(f"outputs: there is no {shown(unknown)}; ask for some of {offered}, or for none")


def prediction(outcome: Outcome, wanted: Wanted) -> dict[str, Any]:
    """Return what a V1 answer says about one image."""
    if isinstance(outcome, ImageRefusedError):
        return {"text": "", "confidence": 0.0, "verdicts": [outcome.verdict.value], "error": outcome.reason}
    reading = outcome.reading
    found: dict[str, Any] = {
        "text": reading.text,
        "confidence": reading.confidence,
        "verdicts": [verdict.value for verdict in outcome.verdicts],
    }
    if wanted.characters:
        found["characters"] = [asdict(character) for character in reading.characters or ()]
    if wanted.alternatives:
        found["alternatives"] = [asdict(alternative) for alternative in reading.alternatives]
    return found
