"""The model behind KServe's endpoints: a request in, readings out, through `htr.recogniser` and nothing else.

Decoding and reading are processor work, so they run in a bounded pool of threads and the event loop stays free.
The recogniser is picked once a request: a champion that is swapped meanwhile does not concern it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from kserve import InferRequest, InferResponse, Model
from kserve.protocol.infer_type import to_http_parameters

from htr.errors import ImageError
from serving.admission import Admission, Check
from serving.answers import EXTRA_OUTPUTS, OUTPUTS, Outcome, check_outputs, v1_answer, v2_outputs
from serving.limits import Limits
from serving.log_rows import keep
from serving.prediction_log import PredictionLog
from serving.protocol import INPUT_NAME, Sent, check_pixels, images_from_v1, images_from_v2
from serving.refusals import (
    ImageRefusedError,
    NotOfferedError,
    ReadingFailedError,
    RefusedError,
    RequestError,
    image_refused,
)
from serving.served import Served
from serving.stamp import Stamp, choose_request_id
from serving.wanted import Wanted

logger = logging.getLogger(__name__)

Headers = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request on its way to the pool."""

    payload: Any
    """A V1 body, whatever JSON can hold, or a V2 request."""
    request_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A request on its way back."""

    answer: dict[str, Any] | InferResponse
    outcomes: Sequence[Outcome]
    images: Sequence[Sent]
    """One an outcome."""
    stamp: Stamp
    first_position: int


class LineReader(Model):  # type: ignore[misc]  # KServe is untyped
    """Reads line images. One request is read by one thread, in order.

    Args:
        name: the model's name in the endpoints.
        serve: returns what to read with now.
        admission: the threads to decode and read in, and who may wait for them.
        clock: stamps log rows; with time zone.
        log: where profile rows go, or None.
        limits: what is refused.
    """

    def __init__(
        self,
        name: str,
        *,
        serve: Callable[[], Served],
        admission: Admission,
        clock: Callable[[], datetime],
        log: PredictionLog | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(name)
        self._serve = serve
        self._admission = admission
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
            RefusedError: too many wait, it takes too long, or a fault of ours.
        """
        try:
            answered = await self._admission.run(lambda check: self._answer(payload, check))
            self._keep(answered)
        except (RequestError, RefusedError) as error:
            error.request_id = payload.request_id
            raise
        except Exception as error:  # what went wrong inside must reach our log and not the client
            logger.exception("request %s failed", payload.request_id)
            raise ReadingFailedError(payload.request_id) from error
        return answered.answer

    async def explain(self, payload: Asked, headers: Headers | None = None) -> dict[str, Any]:
        """Refuse.

        Raises:
            NotOfferedError: always.
        """
        raise NotOfferedError('there is no explainer; ask :predict with parameters {"characters": true}')

    def validate(self, payload: Asked) -> Asked:
        """Return the payload: the pool checks it, and KServe's own check knows plain objects only."""
        return payload

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return what the V2 metadata endpoint says about inputs."""
        return [{"name": INPUT_NAME, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return what the V2 metadata endpoint says about outputs."""
        outputs = OUTPUTS | EXTRA_OUTPUTS
        return [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in outputs.items()]

    def _answer(self, asked: Asked, check: Check) -> Answered:
        served = self._serve()
        stamp = served.stamp(asked.request_id)
        if isinstance(asked.payload, InferRequest):
            return self._answer_v2(asked.payload, served, stamp, check)
        parameters = asked.payload.get("parameters") if isinstance(asked.payload, dict) else None
        wanted = Wanted.parse(parameters, self._limits)
        images = images_from_v1(asked.payload, self._limits, partial=wanted.partial)
        outcomes = self._read(images, served, wanted, check)
        return Answered(
            answer=v1_answer(outcomes, stamp, wanted),
            outcomes=outcomes,
            images=images,
            stamp=stamp,
            first_position=wanted.first_position,
        )

    def _answer_v2(self, infer: InferRequest, served: Served, stamp: Stamp, check: Check) -> Answered:
        outputs = [output.name for output in infer.request_outputs or ()]
        check_outputs(outputs)
        wanted = Wanted.parse(to_http_parameters(infer.parameters or {}), self._limits).named(outputs)
        images = images_from_v2(infer.inputs, self._limits, partial=wanted.partial)
        outcomes = self._read(images, served, wanted, check)
        answer = InferResponse(
            response_id=stamp.request_id,
            model_name=self.name,
            model_version=stamp.model_version,
            infer_outputs=v2_outputs(outcomes, wanted),
            parameters=asdict(stamp),
            requested_outputs=infer.request_outputs,
            use_binary_outputs=infer.use_binary_outputs,
        )
        return Answered(
            answer=answer, outcomes=outcomes, images=images, stamp=stamp, first_position=wanted.first_position
        )

    def _read(self, images: list[Sent], served: Served, wanted: Wanted, check: Check) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for at, image in enumerate(check_pixels(images, self._limits, partial=wanted.partial)):
            check()
            if isinstance(image, ImageRefusedError):
                outcomes.append(image)
                continue
            try:
                outcomes += served.recogniser.observe(
                    [image], characters=wanted.characters, alternatives=wanted.alternatives
                )
            except ImageError as error:
                refused = image_refused(error, at)
                if not wanted.partial:
                    raise refused from error
                outcomes.append(refused)
        return outcomes

    def _keep(self, answered: Answered) -> None:
        """Log what was read; not in the pool, so that a request has rows exactly where it has an answer."""
        if self._log is None:
            return
        keep(
            self._log,
            answered.outcomes,
            answered.images,
            answered.stamp,
            time=self._clock(),
            first_position=answered.first_position,
        )
