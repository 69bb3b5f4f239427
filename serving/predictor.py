"""The model behind KServe's endpoints: a request in, readings out, through `htr.recogniser` and nothing else.

Decoding and reading are processor work, so they run in a bounded pool of threads and the event loop stays free.
The recogniser is picked once a request: a champion that is swapped meanwhile does not concern it.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from grpc_interceptor.exceptions import Internal
from kserve import InferRequest, InferResponse, Model

from htr.errors import ImageError
from htr.prediction_log import log_row
from htr.recogniser import Observation, Reading
from serving.prediction_log import PredictionLog
from serving.protocol import (
    INPUT_NAME,
    OUTPUTS,
    Limits,
    RequestError,
    Stamp,
    check_outputs,
    check_pixels,
    choose_request_id,
    image_refused,
    images_from_v1,
    images_from_v2,
    v1_answer,
    v2_outputs,
)
from serving.served import Served

logger = logging.getLogger(__name__)

Headers = dict[str, str]


class ReadingFailedError(Internal):
    """A fault of ours; its text is for the client and holds only the request id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(details=f"internal error, request id {request_id}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request on its way to the pool."""

    payload: Any
    """A V1 body, whatever JSON can hold, or a V2 request."""
    request_id: str


class LineReader(Model):  # type: ignore[misc]  # KServe is untyped
    """Reads line images. One request is read by one thread, in order.

    Args:
        name: the model's name in the endpoints.
        serve: returns what to read with now.
        pool: threads to decode and read in.
        clock: stamps log rows; with time zone.
        log: where profile rows go, or None.
        limits: what is refused.
    """

    def __init__(
        self,
        name: str,
        *,
        serve: Callable[[], Served],
        pool: Executor,
        clock: Callable[[], datetime],
        log: PredictionLog | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(name)
        self._serve = serve
        self._pool = pool
        self._clock = clock
        self._log = log
        self._limits = limits or Limits()
        self.ready = True

    async def preprocess(self, payload: Any, headers: Headers | None = None) -> Asked:
        """Give the request its id; the rest is work for the pool."""
        own_id = payload.id if isinstance(payload, InferRequest) else None
        return Asked(payload=payload, request_id=choose_request_id(own_id, (headers or {}).get("x-request-id")))

    async def predict(self, payload: Asked, headers: Headers | None = None) -> dict[str, Any] | InferResponse:
        """Read the request's images; log one row each.

        Raises:
            RequestError: the payload cannot be read, or one of its images.
            ReadingFailedError: a fault of ours.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, payload)
        except RequestError:
            raise
        except Exception as error:  # what went wrong inside must reach our log and not the client
            logger.exception("request %s failed", payload.request_id)
            raise ReadingFailedError(payload.request_id) from error

    def validate(self, payload: Asked) -> Asked:
        """Return the payload: the pool checks it, and KServe's own check knows plain objects only."""
        return payload

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return what the V2 metadata endpoint says about inputs."""
        return [{"name": INPUT_NAME, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return what the V2 metadata endpoint says about outputs."""
        return [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()]

    def _answer(self, asked: Asked) -> dict[str, Any] | InferResponse:
        served = self._serve()
        stamp = Stamp(
            model_version=served.version, request_id=asked.request_id, bundle_digest=served.recogniser.digest
        )
        if not isinstance(asked.payload, InferRequest):
            return v1_answer(self._read(images_from_v1(asked.payload, self._limits), served, stamp), stamp)
        infer = asked.payload
        check_outputs([output.name for output in infer.request_outputs or ()])
        readings = self._read(images_from_v2(infer.inputs, self._limits), served, stamp)
        return InferResponse(
            response_id=stamp.request_id,
            model_name=self.name,
            model_version=stamp.model_version,
            infer_outputs=v2_outputs(readings),
            parameters=asdict(stamp),
            requested_outputs=infer.request_outputs,
            use_binary_outputs=infer.use_binary_outputs,
        )

    def _read(self, images: list[bytes], served: Served, stamp: Stamp) -> list[Reading]:
        check_pixels(images, self._limits)
        observed: list[Observation] = []
        try:
            for observation in served.recogniser.observe(images):
                observed.append(observation)
        except ImageError as error:
            raise image_refused(error, len(observed)) from error
        self._keep(observed, stamp)
        return [observation.reading for observation in observed]

    def _keep(self, observed: list[Observation], stamp: Stamp) -> None:
        if self._log is None:
            return
        now = self._clock()
        rows = [
            log_row(
                observation.profile,
                time=now,
                request_id=stamp.request_id,
                position=position,
                model_version=stamp.model_version,
                bundle_digest=stamp.bundle_digest,
                confidence=observation.reading.confidence,
            )
            for position, observation in enumerate(observed)
        ]
        self._log.append(rows)
