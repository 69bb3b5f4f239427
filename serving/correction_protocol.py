"""A request's body in, a correction or a withdrawal out: fields checked, the image decoded once."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Any, TypeVar

import orjson

from htr.alphabet import normalise
from htr.correction_store import image_digest
from htr.corrections import CHOSEN_BY, READING, Correction, Withdrawal
from htr.errors import ImageError
from htr.image import decode
from serving.limits import Limits
from serving.protocol import check_pixels, images_from_v1
from serving.refusals import RequestError, image_refused

T = TypeVar("T")


def correction_from_json(
    payload: Mapping[str, Any], *, limits: Limits, time: datetime
) -> tuple[Correction, bytes]:
    """Return the correction that a body holds, and its image, which is known to decode.

    Args:
        payload: the decoded JSON object.
        limits: what is refused.
        time: when it came, in UTC.

    Raises:
        RequestError: a field is missing, unknown or wrong; the reason names it.
    """
    rest = dict(payload)
    sent = rest.pop("image", None)
    values = _values(rest, Correction, time=time, image_digest="")  # before the image, which takes longer
    image = _image(sent, limits)
    values["image_digest"] = image_digest(image)
    for name in ("old_text", "new_text"):
        values[name] = normalise(values[name])
    return _made(Correction, values), image


def withdrawal_from_json(payload: Mapping[str, Any], *, time: datetime) -> Withdrawal:
    """Return the withdrawal that a body holds.

    Args:
        payload: the decoded JSON object.
        time: when it came, in UTC.

    Raises:
        RequestError: a field is missing, unknown or wrong; the reason names it.
    """
    return _made(Withdrawal, _values(payload, Withdrawal, time=time))


def body_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each body, by ``correction`` and ``withdrawal``."""
    image = {"type": "object", "properties": {"b64": {"type": "string"}}, "required": ["b64"]}
    correction = _schema(Correction, ours={"time", "image_digest"})
    correction["properties"] |= {"image": image, "chosen_by": {"enum": list(CHOSEN_BY), "default": READING}}
    correction["required"].append("image")
    return {"correction": correction, "withdrawal": _schema(Withdrawal, ours={"time"})}


def _schema(kind: type, *, ours: set[str]) -> dict[str, Any]:
    sent = [field for field in fields(kind) if field.name not in ours]
    return {
        "type": "object",
        "properties": {one.name: {"type": "integer" if one.type is int else "string"} for one in sent},
        "required": [one.name for one in sent if one.default is MISSING],
        "additionalProperties": False,
    }


def object_from_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a request's body is.

    Raises:
        RequestError: it is none.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON ({error})") from error
    if not isinstance(payload, dict):
        raise RequestError("expected a JSON object; see docs/corrections.md")
    return payload


def _values(payload: Mapping[str, Any], kind: type, **ours: Any) -> dict[str, Any]:
    """Return a record's values: what was sent, each of the right type, and what is for us to say."""
    known = {field.name: field for field in fields(kind) if field.name not in ours}
    if unknown := sorted(payload.keys() - known.keys()):
        raise RequestError(f"{unknown[0]:.80}: no such field; fields are {', '.join(known)}")
    for name, field in known.items():
        if name not in payload and field.default is MISSING:
            raise RequestError(f"{name}: missing; see docs/corrections.md for what a correction says")
        if name in payload and type(payload[name]) is not field.type:
            wanted = "a number" if field.type is int else "text"
            raise RequestError(f"{name}: expected {wanted}, got {payload[name]!r:.80}")
    return {**payload, **ours}


def _made(kind: Callable[..., T], values: Mapping[str, Any]) -> T:
    try:
        return kind(**values)
    except ValueError as error:
        raise RequestError(str(error)) from error


def _image(value: object, limits: Limits) -> bytes:
    if value is None:
        raise RequestError(
            'image: missing; send {"b64": "..."} with every correction, with a request id too: the server need '
            "not have kept it"
        )
    try:
        (image,) = images_from_v1({"instances": [value]}, limits)
        check_pixels([image], limits)
        return _decodable(image)
    except RequestError as error:  # worded for many images
        error.reason = error.reason.replace("instance 0", "image", 1)
        raise


def _decodable(image: bytes) -> bytes:
    try:
        decode(image)
    except ImageError as error:
        raise image_refused(error, 0) from error
    return image
