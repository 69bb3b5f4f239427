"""Bodies of correction requests: what is taken, and which reason the rest is refused with."""

import base64
import re
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from htr.correction_store import image_digest
from htr.corrections import Correction, Withdrawal
from serving.correction_protocol import correction_from_json, object_from_json, withdrawal_from_json
from serving.limits import Limits
from serving.refusals import RequestError, TooLargeError
from tests.conftest import line_png

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
IMAGE = line_png("some words")
BODY: dict[str, Any] = {
    "id": "c-1",
    "author": "Ada",
    "image": {"b64": base64.b64encode(IMAGE).decode()},
    "old_text": "",
    "new_text": "some words",
    "model_version": "7",
    "bundle_digest": "sha256:" + "b" * 64,
}


def taken(body: dict[str, Any], limits: Limits | None = None) -> tuple[Correction, bytes]:
    return correction_from_json(body, limits=limits or Limits(), time=NOON)


def test_a_body_becomes_a_correction_with_its_image_and_the_servers_time() -> None:
    correction, image = taken(BODY)
    assert image == IMAGE
    assert correction == Correction(
        id="c-1", author="Ada", old_text="", new_text="some words", model_version="7", time=NOON,
        bundle_digest="sha256:" + "b" * 64, image_digest=image_digest(IMAGE), chosen_by="reading",
    )  # fmt: skip
    known = {"chosen_by": "sample", "line": "l", "writer": "w", "page": "p", "language": "fra", "request_id": "r"}
    more, _ = taken({**BODY, **known, "position": 2, "image": BODY["image"]["b64"]})
    assert {name: getattr(more, name) for name in known} == known
    assert more.position == 2


def test_texts_are_brought_to_the_form_of_every_label() -> None:
    correction, _ = taken({**BODY, "old_text": " a  b\n", "new_text": "Zoe\u0301\tx"})
    assert (correction.old_text, correction.new_text) == ("a b", "Zoé x")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "id: expected text, got None"),
        ({"id": "../c"}, "id: expected 1 to 128"),
        ({"author": 7}, "author: expected text, got 7"),
        ({"author": ""}, "author: expected text of 1"),
        ({"new_text": " \n"}, "new_text: expected text of 1"),
        ({"new_text": "x" * 5000}, "new_text: expected text of 1 to 2000"),
        ({"bundle_digest": "abc"}, "bundle_digest: expected sha256:"),
        ({"position": True}, "position: expected a number, got True"),
        ({"position": "2"}, "position: expected a number"),
        ({"chosen_by": "me"}, "chosen_by: expected one of reading, sample"),
        ({"newtext": "x"}, "newtext: no such field; fields are id, author"),
        ({"time": "2026-11-20"}, "time: no such field"),
        ({"image_digest": "sha256:"}, "image_digest: no such field"),
        ({"image": None}, "image: missing; .* need not have kept it"),
        ({"image": {"b64": "%"}}, "image: not base64"),
        ({"image": {"b64": ""}}, "image: image has no bytes"),
        ({"image": {"b64": "AAAA"}}, "image: bytes are not an image"),
        ({"image": {"b64": base64.b64encode(IMAGE[:200]).decode()}}, "image: image is damaged"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        taken({**BODY, **changes})
    assert re.match(reason, refused.value.reason)
    assert refused.value.status == 400
    assert len(refused.value.reason) < 300
    assert "instance" not in refused.value.reason


@pytest.mark.parametrize("name", [name for name in BODY if name != "image"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(RequestError, match=f"^{name}: missing"):
        taken({key: value for key, value in BODY.items() if key != name})


@pytest.mark.parametrize("limits", [Limits(max_image_bytes=100), Limits(max_pixels=1000)])
def test_an_image_over_a_limit_is_refused_as_too_large(limits: Limits) -> None:
    with pytest.raises(TooLargeError):
        taken(BODY, limits)


def test_a_withdrawal_needs_an_id_and_an_author() -> None:
    assert withdrawal_from_json({"id": "c-1", "author": "Bo"}, time=NOON) == Withdrawal(
        id="c-1", author="Bo", time=NOON
    )
    with pytest.raises(RequestError, match="author: missing"):
        withdrawal_from_json({"id": "c-1"}, time=NOON)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"null", b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match=r"not JSON|expected a JSON object"):
        object_from_json(body)
    assert object_from_json(orjson.dumps(BODY)) == BODY
