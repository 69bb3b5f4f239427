"""The model that reads whole pages behind KServe's endpoints: finds lines, has them read, puts the page together.

Who reads the lines is a `serving.line_source`: this process, or another server whose transformer this one is.
Pages have threads of their own, so that a long document does not keep requests for single lines from being read.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from kserve import InferOutput, InferRequest, InferResponse, Model
from kserve.protocol.infer_type import to_http_parameters

from htr.errors import ImageError
from htr.layout.files import PageFile
from serving.admission import Admission, Check
from serving.limits import Limits
from serving.line_source import Lines, LineSource, ModelSwappedError
from serving.page_answers import read_file
from serving.page_opening import Named, Opened, open_files
from serving.page_wanted import OUTPUT, PageWanted, names_from_v1
from serving.protocol import INPUT_NAME, images_from_v1, images_from_v2, shown
from serving.refusals import (
    ImageRefusedError,
    NotOfferedError,
    PredictorAwayError,
    ReadingFailedError,
    RefusedError,
    RequestError,
    image_refused,
)
from serving.stamp import choose_request_id

logger = logging.getLogger(__name__)

Headers = dict[str, str]
TRIES = 2
"""Times that a request is begun where the model is swapped while its lines are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request on its way to the pool."""

    payload: Any
    """A V1 body, whatever JSON can hold, or a V2 request."""
    request_id: str


class PageReader(Model):  # type: ignore[misc]  # KServe is untyped
    """Reads files of pages.

    Args:
        name: the model's name in the endpoints.
        source: who reads the lines.
        admission: the threads to find lines in, and who may wait for them.
        clock: dates PAGE files and log rows; UTC.
        limits: what is refused.
    """

    def __init__(
        self,
        name: str,
        *,
        source: LineSource,
        admission: Admission,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
    ) -> None:
        super().__init__(name)
        self._source = source
        self._admission = admission
        self._clock = clock
        self._limits = limits or Limits()
        self.ready = True

    async def preprocess(self, payload: Any, headers: Headers | None = None) -> Asked:
        """Give the request its id; the rest is work for the pool."""
        own_id = payload.id if isinstance(payload, InferRequest) else None
        return Asked(payload=payload, request_id=choose_request_id(own_id, (headers or {}).get("x-request-id")))

    async def predict(self, payload: Asked, headers: Headers | None = None) -> dict[str, Any] | InferResponse:
        """Read the request's files; log one row a line.

        Raises:
            RequestError: the payload cannot be read, or one of its files.
            RefusedError: too many wait, it takes too long, the lines cannot be read now, or a fault of ours.
        """
        try:
            answer, lines = await self._admission.run(lambda check: self._answer(payload, check))
            lines.keep(self._clock())
        except (RequestError, RefusedError) as error:
            error.request_id = payload.request_id
            raise
        except Exception as error:  # what went wrong inside must reach our log and not the client
            logger.exception("request %s failed", payload.request_id)
            raise ReadingFailedError(payload.request_id) from error
        return answer

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
        return [{"name": OUTPUT, "datatype": "BYTES", "shape": [-1]}]

    def _answer(self, asked: Asked, check: Check) -> tuple[dict[str, Any] | InferResponse, Lines]:
        payload = asked.payload
        if not isinstance(payload, InferRequest):
            wanted = PageWanted.parse(
                payload.get("parameters") if isinstance(payload, dict) else None, self._limits
            )
            sent = images_from_v1(payload, self._limits.of_files, partial=wanted.lines.partial)
            named = list(zip(sent, names_from_v1(payload), strict=True))
            predictions, lines = self._read(named, wanted, asked.request_id, check)
            return {"predictions": predictions, **asdict(lines.stamp)}, lines
        if unknown := sorted({output.name for output in payload.request_outputs or ()} - {OUTPUT}):
            raise RequestError(f"outputs: there is no {shown(unknown)}; ask for {OUTPUT!r}, or for none")
        wanted = PageWanted.parse(to_http_parameters(payload.parameters or {}), self._limits)
        sent = images_from_v2(payload.inputs, self._limits.of_files, partial=wanted.lines.partial)
        predictions, lines = self._read([(file, "") for file in sent], wanted, asked.request_id, check)
        found = [orjson.dumps(one).decode() for one in predictions]
        response = InferResponse(
            response_id=lines.stamp.request_id,
            model_name=self.name,
            model_version=lines.stamp.model_version,
            infer_outputs=[InferOutput(OUTPUT, [len(found)], "BYTES", data=found)],
            parameters=asdict(lines.stamp),
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )
        return response, lines

    def _read(
        self, sent: Sequence[Named], wanted: PageWanted, request_id: str, check: Check
    ) -> tuple[list[dict[str, Any]], Lines]:
        opened = open_files(sent, self._limits, check, partial=wanted.lines.partial)
        for _ in range(TRIES):
            with suppress(ModelSwappedError):
                return self._read_all(opened, wanted, request_id, check)
        raise PredictorAwayError("the model is being swapped again and again; try again later", retry_after_s=1)

    def _read_all(
        self, opened: Sequence[Opened], wanted: PageWanted, request_id: str, check: Check
    ) -> tuple[list[dict[str, Any]], Lines]:
        lines = self._source.open(request_id, wanted.lines)
        answers: list[dict[str, Any]] = []
        for at, file in enumerate(opened):
            try:
                if isinstance(file, ImageRefusedError):
                    raise file
                answers.append(self._read_one(file, lines, wanted, at, check))
            except ImageRefusedError as refused:
                if not wanted.lines.partial:
                    raise
                error = {"verdicts": [refused.verdict.value], "error": refused.reason}
                answers.append({"pages": [], "files": {}, **error})
        return answers, lines

    def _read_one(self, file: PageFile, lines: Lines, wanted: PageWanted, at: int, check: Check) -> dict[str, Any]:
        try:
            return read_file(file, lines, wanted, self._limits, instance=at, time=self._clock(), check=check)
        except ImageError as error:
            raise image_refused(error, at) from error
