"""Every refusal that a client can meet: each with one line of text, a word for programs, and its status.

    RequestError (400)            the payload is not what the protocol says; KServe knows it as invalid input
    |-- TooLargeError (413)         it is over a limit
    |-- ImageRefusedError (400)     one image cannot be read: which one, and a verdict on it
    |   `-- ImageTooLargeError (413)  one image is over a limit
    `-- NotOfferedError (501)       a part of KServe's protocols that does not apply to line images
    UnknownModelError (404)       no model of that name
    RefusedError                  nothing is wrong with the payload
    |-- BusyError (429)             as many requests wait as may; come back after a while
    |-- TooOftenError (429)         this client writes more often than it may
    |-- TooSlowError (503)          it took longer than it may
    |-- PredictorAwayError (503)    pages: the server that reads the lines does not answer
    |-- TokenError (401)            no token, or another one
    |-- FixedRepositoryError (403)  clients do not choose what is served
    `-- ReadingFailedError (500)    a fault of ours, whose text is for our log

Over gRPC the same refusals are INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, UNAVAILABLE,
UNAUTHENTICATED, PERMISSION_DENIED and INTERNAL.
"""

from grpc import StatusCode
from grpc_interceptor.exceptions import GrpcException
from kserve.errors import InvalidInput, ModelNotFound

from htr.errors import DataError, ImageError
from htr.verdicts import Verdict


class RequestError(DataError, InvalidInput):  # type: ignore[misc]  # KServe is untyped
    """The client sent something that cannot be read.

    Attributes:
        reason: one line that says what is wrong, which instance, and what to do.
        status: the HTTP status it deserves.
        code: the same for programs.
        request_id: of the request, where it is known better than from the HTTP header.
    """

    status = 400
    code = "bad_request"
    request_id = ""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


class TooLargeError(RequestError):
    """The request is over a limit."""

    status = 413
    code = "too_large"


class ImageRefusedError(RequestError):
    """One image of the request cannot be read.

    Args:
        reason: see `RequestError`; without the instance.
        instance: its place in the request, from 0.
        verdict: what is wrong with it.
    """

    code = "bad_image"

    def __init__(self, reason: str, *, instance: int, verdict: Verdict) -> None:
        super().__init__(f"instance {instance}: {reason}")
        self.instance = instance
        self.verdict = verdict


class ImageTooLargeError(ImageRefusedError, TooLargeError):
    """One image of the request is over a limit."""

    code = "bad_image"


class NotOfferedError(RequestError):
    """KServe has it, line images do not."""

    status = 501
    code = "not_offered"


class UnknownModelError(ModelNotFound):  # type: ignore[misc]  # KServe is untyped
    """No model of that name is served."""

    status = 404
    code = "unknown_model"

    def __init__(self, name: str, *, served: list[str]) -> None:
        self.reason = f"there is no model {name[:60]!r} here; ask for {' or '.join(map(repr, served))}"


class RefusedError(GrpcException):
    """The payload may be fine, and yet it is not read.

    Attributes:
        status: the HTTP status it deserves.
        code: the same for programs.
        retry_after_s: whole seconds after which it is worth trying again; None where it is not.
        request_id: see `RequestError`.
    """

    status = 500
    code = "internal"
    request_id = ""

    def __init__(self, reason: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(details=reason)
        self.retry_after_s = retry_after_s


class BusyError(RefusedError):
    """As many requests wait as may."""

    status_code = StatusCode.RESOURCE_EXHAUSTED
    status = 429
    code = "busy"


class TooOftenError(RefusedError):
    """A client uses a write route more often than it may."""

    status_code = StatusCode.RESOURCE_EXHAUSTED
    status = 429
    code = "too_often"

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many writes from this client; come back in {wait_s} s", retry_after_s=wait_s)


class TooManyGuessesError(RefusedError):
    """An address has sent too many wrong tokens."""

    status_code = StatusCode.RESOURCE_EXHAUSTED
    status = 429
    code = "too_often"

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many wrong tokens from this address; come back in {wait_s} s", retry_after_s=wait_s)


class TooSlowError(RefusedError):
    """A request took longer than it may."""

    status_code = StatusCode.DEADLINE_EXCEEDED
    status = 503
    code = "too_slow"


class PredictorAwayError(RefusedError):
    """The server that reads the lines of pages does not answer, or says that it cannot now."""

    status_code = StatusCode.UNAVAILABLE
    status = 503
    code = "predictor_away"


class TokenError(RefusedError):
    """The server wants a token, and this is not it."""

    status_code = StatusCode.UNAUTHENTICATED
    status = 401
    code = "token"

    def __init__(self) -> None:
        super().__init__('this server wants a token: send the header "Authorization: Bearer TOKEN"')


class FixedRepositoryError(RefusedError):
    """A client wants to choose what is served."""

    status_code = StatusCode.PERMISSION_DENIED
    status = 403
    code = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "models are not loaded or unloaded by clients; move the registry's alias to serve another one"
        )


class ReadingFailedError(RefusedError):
    """A fault of ours; its text is for the client and holds only the request id."""

    status_code = StatusCode.INTERNAL

    def __init__(self, request_id: str) -> None:
        super().__init__(f"internal error, request id {request_id}")
        self.request_id = request_id


def image_refused(error: ImageError, at: int) -> ImageRefusedError:
    """Return what the client is told about an image that cannot be read.

    Args:
        error: what is wrong with it.
        at: its place in the request, from 0.
    """
    verdict = Verdict(error.reason)
    kind = ImageTooLargeError if verdict is Verdict.TOO_LARGE else ImageRefusedError
    return kind(str(error), instance=at, verdict=verdict)
