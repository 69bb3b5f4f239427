"""Whatever goes wrong, the person at the page reads a sentence."""

import pytest

from htr.errors import DataError, ImageError, QuillflowError
from serving.client import ConflictError, RefusedError, StrangeAnswerError, TooLargeError, UnreachableError
from serving.web.plain_words import plain


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnreachableError("127.0.0.1:8080: cannot be reached (refused); is it running?"), "does not answer"),
        (UnreachableError("127.0.0.1:8080: as many wait as may", 2.0), "is busy"),
        (UnreachableError("127.0.0.1:8080: no answer (RemoteDisconnected())"), "is busy"),
        (ConflictError(409, "id 'x' stands for another correction"), "Another correction"),
        (
            TooLargeError(413, "instance 0: image has 9 bytes, at most 8"),
            "too large for the server: image has 9 bytes",
        ),
        (RefusedError(401, "this server wants a token"), "check the token"),
        (RefusedError(404, "no such route"), "does not offer this"),
        (RefusedError(500, "internal error, request id 7"), "a fault of its own"),
        (
            RefusedError(400, "instance 0: image is damaged; scan it again"),
            "refused it: image is damaged; scan it again.",
        ),
        (StrangeAnswerError("answered with status 200 without JSON"), "no reading server"),
        (
            ImageError("empty", "file has no bytes; check it"),
            "This file cannot be read: file has no bytes; check it.",
        ),
        (DataError("write your name first"), "write your name first."),
    ],
)
def test_an_error_is_said_in_a_sentence(error: QuillflowError, said: str) -> None:
    words = plain(error)
    assert said in words
    assert words.endswith(".")
    assert "instance" not in words
    assert "127.0.0.1" not in words
