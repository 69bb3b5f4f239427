"""The route /v1/corrections: what people say that lines read, into a store and, without images, out of it again.

    POST /v1/corrections            a correction, its fields as in htr.corrections.Correction and "image" as in V1
        -> 201 {"id", "stored": true}, or 200 {"id", "stored": false} where it was stored before
    POST /v1/corrections/withdraw   {"id", "author", "reason"}
        -> 200 {"id", "withdrawn": true}, or false where it was withdrawn before
    GET  /v1/corrections?start=0&limit=100
        -> 200 {"count", "start", "corrections": [...]}, oldest first

What cannot be done is answered with ``{"error": one line}``: 400 a field is missing or wrong, 404 nothing to
withdraw, 409 the id stands for another correction, 413 over a limit, 503 not stored, to be sent again. The image
is always needed: the prediction log keeps those of a sample of requests at most, so that a request id alone may
lead to nothing to learn from.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from htr.correction_store import CorrectionStore, Stored
from htr.errors import ConflictError, DataError, MissingError, OutputError
from serving.correction_protocol import (
    body_schemas,
    correction_from_json,
    object_from_json,
    withdrawal_from_json,
)
from serving.limits import Limits
from serving.refusals import RequestError

logger = logging.getLogger(__name__)

PATH = "/v1/corrections"
MOST_LISTED = 1000
AT_ONCE = 2
"""Corrections that are decoded and written at a time: reading lines goes first."""

T = TypeVar("T")


class UnknownCorrectionError(RequestError):
    """There is no correction of that id."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class CorrectionConflictError(RequestError):
    """The id stands for another correction."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class Corrections:
    """The route's handlers.

    Args:
        store: where corrections go.
        limits: what is refused.
        clock: stamps corrections; UTC.
    """

    def __init__(self, store: CorrectionStore, *, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._limiter = CapacityLimiter(AT_ONCE)

    async def add(self, request: Request) -> JSONResponse:
        """Handle POST /v1/corrections."""
        body = await request.body()

        def store() -> JSONResponse:
            correction, image = correction_from_json(
                object_from_json(body), limits=self._limits, time=self._clock()
            )
            is_new = self._store.add(correction, image)
            status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
            return JSONResponse({"id": correction.id, "stored": is_new}, status)

        return await self._run(store)

    async def withdraw(self, request: Request) -> JSONResponse:
        """Handle POST /v1/corrections/withdraw."""
        body = await request.body()

        def withdraw() -> JSONResponse:
            withdrawal = withdrawal_from_json(object_from_json(body), time=self._clock())
            return JSONResponse({"id": withdrawal.id, "withdrawn": self._store.withdraw(withdrawal)})

        return await self._run(withdraw)

    async def show(self, request: Request) -> JSONResponse:
        """Handle GET /v1/corrections."""
        start = _whole_number(request, "start", default=0)
        limit = _whole_number(request, "limit", default=100, most=MOST_LISTED)

        def read() -> JSONResponse:
            found, count = self._store.read(start, limit)
            return JSONResponse({"count": count, "start": start, "corrections": [_listed(one) for one in found]})

        return await self._run(read)

    async def _run(self, work: Callable[[], T]) -> T:
        """Do what takes processor and disk beside the event loop, and name its errors as HTTP does."""
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        except RequestError:
            raise
        except ConflictError as error:
            raise CorrectionConflictError(str(error)) from error
        except MissingError as error:
            raise UnknownCorrectionError(str(error)) from error
        except (OutputError, DataError) as error:  # its text names our folders: for the log only
            logger.exception("corrections cannot be stored or read")
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "corrections cannot be stored or read now; send it again later"
            ) from error


def mount(app: FastAPI, store: CorrectionStore, *, limits: Limits, clock: Callable[[], datetime]) -> None:
    """Add the route to an application.

    Args:
        app: KServe's, guarded by `serving.guard`, which shapes the errors.
        store: where corrections go.
        limits: what is refused.
        clock: stamps corrections; UTC.
    """
    corrections = Corrections(store, limits=limits, clock=clock)
    bodies = {
        name: {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
        for name, schema in body_schemas().items()
    }
    app.add_api_route(
        PATH,
        corrections.add,
        methods=["POST"],
        summary="Store what a line really says",
        responses={201: {"description": "Stored."}, 200: {"description": "Stored before."}},
        openapi_extra=bodies["correction"],
    )
    app.add_api_route(
        f"{PATH}/withdraw",
        corrections.withdraw,
        methods=["POST"],
        summary="Keep a correction from being learnt from",
        openapi_extra=bodies["withdrawal"],
    )
    whole = {"type": "integer", "minimum": 0}
    asked = [
        {"name": "start", "in": "query", "schema": {**whole, "default": 0}},
        {"name": "limit", "in": "query", "schema": {**whole, "default": 100, "maximum": MOST_LISTED}},
    ]
    app.add_api_route(
        PATH,
        corrections.show,
        methods=["GET"],
        summary="List corrections, oldest first, without images",
        openapi_extra={"parameters": asked},
    )


def _whole_number(request: Request, name: str, *, default: int, most: int = 2**31) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) > most:
        raise RequestError(f"{name}: expected a whole number from 0 to {most}, got {text!r:.80}")
    return int(text)


def _listed(one: Stored) -> dict[str, Any]:
    correction = {**asdict(one.correction), "time": one.correction.time.isoformat()}
    return {**correction, "withdrawn": one.withdrawal is not None}
