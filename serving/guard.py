"""What stands between the network and KServe's endpoints: limits, and errors that say just enough.

KServe by itself takes bodies of any size, lets every client unload the model, sends the text of unexpected
exceptions to the client, answers malformed V2 bodies with a copy of them, and turns images in V2 binary tensors
into an error of its own.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from grpc_interceptor.exceptions import PermissionDenied
from kserve import InferInput, InferRequest
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.predictor import ReadingFailedError
from serving.protocol import Limits, RequestError, choose_request_id

logger = logging.getLogger(__name__)

BINARY_HEADER = "inference-header-content-length"


class LineDataPlane(DataPlane):  # type: ignore[misc]  # KServe is untyped
    """KServe's decoding, for bodies of any content type and for images in V2 binary tensors."""

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
                raise RequestError(f"the body is not JSON ({error})") from error
        decoded: tuple[Any, dict[str, Any]] = super().decode(body, headers, protocol_version, model_name)
        return decoded


def _v2_from_json(body: bytes, model_name: str | None) -> InferRequest:
    try:
        request = InferenceRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(_first_complaint(error.errors(include_input=False, include_url=False))) from error
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
        request = InferenceRequest.model_validate(content)
    except ValidationError as error:
        raise RequestError(_first_complaint(error.errors(include_input=False, include_url=False))) from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"the JSON head is not a V2 request ({error!r}); expected inputs in it") from error
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


class FixedRepositoryError(PermissionDenied):  # type: ignore[misc]  # untyped
    """A client wants to choose what is served; 403 by REST, PERMISSION_DENIED by gRPC."""

    def __init__(self) -> None:
        super().__init__(
            details="models are not loaded or unloaded by clients; move the registry's alias to serve another one"
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


class Guard:
    """ASGI middleware: refuses bodies over the limit, and answers what nothing else caught.

    Args:
        app: what it stands before.
        limits: what is refused.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limit = limits.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = choose_request_id(headers.get("x-request-id"))
        if headers.get("x-request-id") != request_id:
            named = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
            scope = {**scope, "headers": [*named, (b"x-request-id", request_id.encode())]}
        size, answered = 0, False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large())
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limit:
            await _refusal(413, self._too_large())(scope, receive, send)
            return
        try:
            await self._app(scope, counted, noted)
        except Exception:  # the text of an unexpected exception is for our log and not for the client
            logger.exception("request %s failed", request_id)
            if not answered:
                await _refusal(500, f"internal error, request id {request_id}")(scope, receive, send)

    def _too_large(self) -> str:
        return f"the request's body is over {self._limit} bytes; send fewer or smaller images"


def install(app: FastAPI, limits: Limits) -> None:
    """Put the guard before KServe's application, and give every error the same shape: ``{"error": one line}``."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        match error:
            case RequestError():
                return _refusal(error.status, error.reason)
            case ReadingFailedError():
                return _refusal(500, str(error.details))
            case FixedRepositoryError():
                return _refusal(403, str(error.details))
            case RequestValidationError():
                return _refusal(400, _first_complaint(error.errors()))
            case HTTPException():
                return _refusal(error.status_code, str(error.detail))
        raise AssertionError(f"no answer for {type(error).__name__}")

    for kind in (RequestError, ReadingFailedError, FixedRepositoryError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Guard, limits=limits)


class ClientFaults(logging.Filter):
    """Keeps KServe from logging a traceback each time that a client sends something wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is worth keeping."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, InvalidInput | ModelNotFound | ModelNotReady | NotImplementedError)


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": " ".join(reason.split())}, status_code=status)


def _first_complaint(errors: Sequence[Any]) -> str:
    """Say the first thing that pydantic found, without what was sent."""
    chosen = [error for error in errors if "bytes" not in error["loc"]] or list(errors)
    if chosen[0]["type"] == "json_invalid":
        return f"the body is not JSON ({chosen[0].get('ctx', {}).get('error', chosen[0]['msg'])})"
    place = ".".join(str(part) for part in chosen[0]["loc"] if part not in {"body", "InferenceRequest"})
    return f"not a V2 request: {place or 'body'}: {chosen[0]['msg']}; see KServe's Open Inference Protocol"
