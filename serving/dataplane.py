"""Bodies in, KServe's requests out, where its own decoding refuses, misreads or takes too easily; no repository.

KServe by itself turns images in V2 binary tensors into an error of its own, takes "2" and true for numbers,
answers malformed V2 bodies with a copy of them, and lets every client unload the model.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from kserve import InferInput, InferRequest
from kserve.model import BaseKServeModel
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from serving.refusals import FixedRepositoryError, RequestError, UnknownModelError

BINARY_HEADER = "inference-header-content-length"


class LineDataPlane(DataPlane):  # type: ignore[misc]  # KServe is untyped
    """KServe's decoding, for bodies of any content type and for images in V2 binary tensors."""

    def get_model_from_registry(self, name: str) -> BaseKServeModel:
        """Return a served model.

        Raises:
            UnknownModelError: there is none of that name.
        """
        self._check_name(name)
        return super().get_model_from_registry(name)

    async def get_model(self, name: str) -> BaseKServeModel:
        """Return a served model that is ready.

        Raises:
            UnknownModelError: there is none of that name.
        """
        self._check_name(name)
        return await super().get_model(name)

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Return whether a model is ready.

        Raises:
            UnknownModelError: there is none of that name.
        """
        self._check_name(model_name)
        ready: bool = await super().model_ready(model_name, disable_predictor_health_check)
        return ready

    def _check_name(self, name: str) -> None:
        served = list(self._model_registry.get_models())
        if name not in served:
            raise UnknownModelError(name, served=served)

    def decode(
        self, body: Any, headers: dict[str, str], protocol_version: str = "v1", model_name: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the decoded body and CloudEvent attributes.

        Raises:
            RequestError: it is not what the protocol says.
        """
        if isinstance(body, bytes) and protocol_version == "v2":
            length = headers.get(BINARY_HEADER)
            return (_v2_from_json(body, model_name) if length is None else _v2_raw(body, length, model_name)), {}
        if isinstance(body, bytes) and "ce-specversion" not in headers:
            try:
                body = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise RequestError(f"the body is not JSON (line {error.lineno}, column {error.colno})") from error
        decoded: tuple[Any, dict[str, Any]] = super().decode(body, headers, protocol_version, model_name)
        return decoded


def _v2_from_json(body: bytes, model_name: str | None) -> InferRequest:
    try:
        request = InferenceRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise RequestError(first_complaint(error.errors(include_input=False, include_url=False))) from error
    return InferRequest.from_inference_request(request, model_name)


def _v2_raw(body: bytes, length: str, model_name: str | None) -> InferRequest:
    """Take a JSON head and the bytes of its one tensor apart."""
    if not length.isdecimal() or int(length) > len(body):
        raise RequestError(f"{BINARY_HEADER}: expected the length of the JSON head, got {length[:20]!r}")
    head, raw = body[: int(length)], body[int(length) :]
    try:
        content = orjson.loads(head)
        for tensor in content["inputs"]:
            tensor.setdefault("data", [])
        request = InferenceRequest.model_validate(content, strict=True)
    except ValidationError as error:
        raise RequestError(first_complaint(error.errors(include_input=False, include_url=False))) from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RequestError("the JSON head is not a V2 request; expected an object with inputs in it") from error
    if len(request.inputs) != 1 or request.inputs[0].data:
        raise RequestError('expected one input "image" whose data follows the JSON head; send nothing else binary')
    tensor = request.inputs[0]
    return InferRequest(
        model_name=model_name,
        request_id=request.id,
        infer_inputs=[InferInput(tensor.name, tensor.shape, tensor.datatype)],
        raw_inputs=[raw],
        parameters=request.parameters,
        request_outputs=InferRequest.from_inference_request(request, model_name).request_outputs,
    )


class FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]  # KServe is untyped
    """The list of models that are served, which no client can change."""

    async def load(self, model_name: str) -> None:
        """Refuse.

        Raises:
            FixedRepositoryError: always, whatever the name.
        """
        raise FixedRepositoryError

    async def unload(self, model_name: str) -> None:
        """Refuse.

        Raises:
            FixedRepositoryError: always, whatever the name.
        """
        raise FixedRepositoryError


def first_complaint(errors: Sequence[Any]) -> str:
    """Say the first thing that pydantic found, without what was sent."""
    chosen = [error for error in errors if "bytes" not in error["loc"]] or list(errors)
    if chosen[0]["type"] == "json_invalid":
        return f"the body is not JSON ({chosen[0].get('ctx', {}).get('error', chosen[0]['msg'])})"
    place = ".".join(str(part) for part in chosen[0]["loc"] if part not in {"body", "InferenceRequest"})
    return f"not a V2 request: {place or 'body'}: {chosen[0]['msg']}; see KServe's Open Inference Protocol"
