"""Errors in, HTTP answers out, all of one shape, and nothing in them that a client should not know.

    {"error": one line, "code": a word, "model_version", "request_id", "bundle_digest"}

and ``instance`` and ``verdict`` where one image is at fault.
"""

import logging
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
from starlette.exceptions import HTTPException

from serving.dataplane import first_complaint
from serving.refusals import RefusedError, RequestError, TokenError, UnknownModelError
from serving.stamp import Stamp

_CODES = {HTTPStatus.REQUEST_TIMEOUT: "too_slow", HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large"}
_CLIENTS_FAULTS = (InvalidInput, ModelNotFound, ModelNotReady, NotImplementedError, RefusedError)


def answer_error(error: Exception, stamp: Stamp) -> JSONResponse:
    """Return what the client is told about an error of one of the kinds below."""
    match error:
        case RequestError():
            at = {"instance": error.instance, "verdict": error.verdict} if hasattr(error, "verdict") else {}
            return error_answer(error.status, error.code, error.reason, stamp, **at)
        case UnknownModelError():
            return error_answer(error.status, error.code, error.reason, stamp)
        case RefusedError():
            return refused(error, stamp)
        case RequestValidationError():
            return error_answer(400, RequestError.code, first_complaint(error.errors()), stamp)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            code, headers = _CODES.get(status, status.name.lower()), dict(error.headers or {})
            return error_answer(status, code, str(error.detail), stamp, headers=headers)
    raise AssertionError(f"no answer for {type(error).__name__}")


def refused(error: RefusedError, stamp: Stamp) -> JSONResponse:
    """Return a refusal that is no fault of the payload, and when to come back where that helps."""
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    if isinstance(error, TokenError):
        headers["www-authenticate"] = "Bearer"
    return error_answer(error.status, error.code, str(error.details), stamp, headers=headers)


def error_answer(
    status: int, code: str, reason: str, stamp: Stamp, *, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Return an error in the shape that all errors have; ``more`` is what else programs may want to know."""
    content = {"error": " ".join(reason.split()), "code": code, **more, **asdict(stamp)}
    return JSONResponse(content, status_code=status, headers=headers)


class ClientFaults(logging.Filter):
    """Keeps KServe from logging a traceback each time that a client sends something wrong, or too much."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is worth keeping."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, _CLIENTS_FAULTS)
