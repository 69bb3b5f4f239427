"""The V2 route in the place of KServe's: the same decoding for every content type, and the answer written once.

KServe's own route parses a JSON body twice, as any JSON and as its model, and takes "2" and true for numbers.
"""

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from kserve.protocol.dataplane import DataPlane

V2_PATH = "/v2/models/{model_name}/infer"


def add_v2_route(app: FastAPI, dataplane: DataPlane) -> None:
    """Take V2 requests before KServe's route is there; whichever came first is asked."""

    async def read_lines(request: Request, model_name: str) -> Response:
        """Read line images."""
        await dataplane.model_ready(model_name, disable_predictor_health_check=True)
        headers = dict(request.headers)
        asked, _ = dataplane.decode(await request.body(), headers, protocol_version="v2", model_name=model_name)
        found, _ = await dataplane.infer(model_name=model_name, request=asked, headers=headers)
        answer, response_headers = dataplane.encode(model_name, found, {}, req_attributes={})
        response_headers["x-request-id"] = found.id
        if isinstance(answer, bytes):
            return Response(answer, media_type="application/octet-stream", headers=response_headers)
        return Response(_to_json(answer), media_type="application/json", headers=response_headers)

    app.add_api_route(V2_PATH, read_lines, methods=["POST"], response_model=None, tags=["V2"])


def _to_json(answer: dict[str, Any]) -> bytes:
    outputs = [{"parameters": None, **output} for output in answer["outputs"]]  # as KServe's own route writes it
    return orjson.dumps({**answer, "outputs": outputs})
