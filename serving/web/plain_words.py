"""Errors in, one or two sentences for the person at the page out."""

from htr.errors import ImageError, QuillflowError
from serving.client import ConflictError, RefusedError, StrangeAnswerError, TooLargeError, UnreachableError

BUSY = (
    "The reading server is busy, or this is too much at once. "
    "Nothing is lost; try again in a moment, or with fewer pages."
)


def plain(error: QuillflowError) -> str:
    """Return what went wrong and what to do, without the words of programs."""
    if isinstance(error, UnreachableError):
        if error.after_s or "cannot be reached" not in str(error):
            return BUSY
        return "The reading server does not answer. Nothing is lost; try again, or ask whoever runs it."
    if isinstance(error, ConflictError):
        return "Another correction of this line was sent under the same name. Look at the line again."
    if isinstance(error, TooLargeError):
        return f"This is too large for the server: {_without_instance(str(error))}."
    if isinstance(error, RefusedError):
        return _refused(error)
    if isinstance(error, StrangeAnswerError):
        return "What answers at the server's address is no reading server. Ask whoever runs it."
    if isinstance(error, ImageError):
        return f"This file cannot be read: {error}."
    return f"{error}."


def _refused(error: RefusedError) -> str:
    if error.status in {401, 403}:
        return "The reading server does not let this page in. Ask whoever runs it to check the token."
    if error.status == 404:
        return "The reading server does not offer this. Ask whoever runs it."
    if error.status >= 500:
        return "The reading server met a fault of its own. Try again, or ask whoever runs it."
    return f"The server refused it: {_without_instance(str(error))}."


def _without_instance(text: str) -> str:
    """Leave out the place in the request: there is one picture, and the person at the page sees it."""
    return text.removeprefix("instance 0: ").rstrip(".")
