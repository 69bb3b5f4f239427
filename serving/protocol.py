"""Payloads in, images out; readings in, answers out: KServe's V1 and V2 protocols, without the server.

V1 in    {"instances": [{"image": {"b64": TEXT}}, {"b64": TEXT}, TEXT, ...]}    TEXT is base64
V1 out   {"predictions": [{"text", "confidence"}, ...], "model_version", "request_id", "bundle_digest"}
V2 in    one input "image", datatype BYTES, shape [n]: base64 in JSON, the image's own bytes in gRPC or raw
V2 out   outputs "text" BYTES [n] and "confidence" FP32 [n]; version, request and digest among the parameters

A request is refused as a whole when one of its images is bad: the reason names the instance.
"""

import base64
import binascii
import re
import struct
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kserve import InferInput, InferOutput
from kserve.errors import InvalidInput

from htr.errors import DataError, ImageError
from htr.image import probe
from htr.recogniser import Reading

MIB = 1024 * 1024
INPUT_NAME = "image"
OUTPUTS = {"text": "BYTES", "confidence": "FP32"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much one request may ask for; what is over is refused before it is decoded."""

    max_images: int = 64
    max_image_bytes: int = 10 * MIB
    """One encoded image."""
    max_pixels: int = 40_000_000
    """Of all images of one request together, which bounds the seconds of processor time that it can cost."""
    max_body_bytes: int = 64 * MIB
    """One HTTP request; gRPC has KServe's ``--grpc_max_receive_message_length``."""

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 1:
            raise ValueError(f"limits must be at least 1: {self}")


class RequestError(DataError, InvalidInput):  # type: ignore[misc]  # KServe is untyped
    """The client sent something that cannot be read; KServe knows it as invalid input.

    Attributes:
        reason: one line that says which instance and what to do.
        status: the HTTP status it deserves.
    """

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


class TooLargeError(RequestError):
    """The request, or one of its images, is over a limit."""

    status = 413


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What every answer says about where it came from."""

    model_version: str
    request_id: str
    bundle_digest: str


def choose_request_id(*candidates: str | None) -> str:
    """Return the first candidate that is fit for logs and headers, or a new UUID."""
    sane = (text for text in candidates if text and _REQUEST_ID.fullmatch(text))
    return next(sane, None) or str(uuid.uuid4())


def images_from_v1(payload: object, limits: Limits) -> list[bytes]:
    """Return the encoded images of a V1 request.

    Args:
        payload: the decoded JSON body.
        limits: what is refused.

    Raises:
        RequestError: the payload is not what this module's docstring shows.
    """
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list):
        raise RequestError(
            f'expected {{"instances": [{{"image": {{"b64": "..."}}}}, ...]}}, got {_shown(payload)}; '
            'send a JSON object whose "instances" is a list'
        )
    _check_count(len(instances), limits)
    return [_from_base64(_v1_text(value, at), at, limits) for at, value in enumerate(instances)]


def images_from_v2(inputs: Sequence[InferInput], limits: Limits) -> list[bytes]:
    """Return the encoded images of a V2 request, whether it came as JSON, raw or by gRPC.

    Args:
        inputs: the request's tensors; text elements are base64, bytes are an image as it is.
        limits: what is refused.

    Raises:
        RequestError: the tensors are not what this module's docstring shows.
    """
    names = [tensor.name for tensor in inputs]
    if names != [INPUT_NAME]:
        raise RequestError(f'expected one input named "{INPUT_NAME}", got {_shown(names)}')
    (tensor,) = inputs
    shape = list(tensor.shape)
    if tensor.datatype != "BYTES":
        raise RequestError(
            f'input "{INPUT_NAME}": expected datatype BYTES, got {_shown(tensor.datatype)}; send each image '
            "as one element, base64 in JSON"
        )
    if len(shape) not in {1, 2} or shape[1:] not in ([], [1]):
        raise RequestError(f'input "{INPUT_NAME}": expected shape [n], one element an image, got {_shown(shape)}')
    _check_count(shape[0], limits)
    try:
        values = tensor.as_numpy().ravel().tolist()
    except (ValueError, TypeError, struct.error) as error:
        raise RequestError(
            f'input "{INPUT_NAME}": its data does not fill shape {shape} ({error}); send one element an image'
        ) from error
    if len(values) != shape[0]:
        raise RequestError(f'input "{INPUT_NAME}": shape says {shape[0]} images, its data holds {len(values)}')
    return [_v2_image(value, at, limits) for at, value in enumerate(values)]


def check_pixels(images: Sequence[bytes], limits: Limits) -> None:
    """Check how many pixels the images of a request have together, from their headers alone.

    Raises:
        RequestError: one of them is no image, or too large.
        TooLargeError: all of them together are.
    """
    num_pixels = 0
    for at, image in enumerate(images):
        try:
            width, height = probe(image)
        except ImageError as error:
            raise image_refused(error, at) from error
        num_pixels += width * height
        if num_pixels > limits.max_pixels:
            raise TooLargeError(
                f"the images up to instance {at} have {num_pixels} pixels, at most {limits.max_pixels} are read a "
                "request; send them in several requests or smaller"
            )


def image_refused(error: ImageError, at: int) -> RequestError:
    """Return what the client is told about an image that cannot be read.

    Args:
        error: what is wrong with it.
        at: its place in the request, from 0.
    """
    kind = TooLargeError if error.reason == "too_large" else RequestError
    return kind(f"instance {at}: {error}")


def v1_answer(readings: Sequence[Reading], stamp: Stamp) -> dict[str, Any]:
    """Return the V1 body for readings in request order."""
    predictions = [{"text": reading.text, "confidence": reading.confidence} for reading in readings]
    return {"predictions": predictions, **asdict(stamp)}


def check_outputs(names: Sequence[str]) -> None:
    """Check the outputs that a V2 request asks for by name; none means all.

    Raises:
        RequestError: there is no such output.
    """
    if unknown := sorted(set(names) - set(OUTPUTS)):
        raise RequestError(f"outputs: there is no {_shown(unknown)}; ask for some of {list(OUTPUTS)}, or for none")


def v2_outputs(readings: Sequence[Reading]) -> list[InferOutput]:
    """Return the V2 output tensors for readings in request order."""
    return [
        InferOutput(name, [len(readings)], kind, data=[getattr(reading, name) for reading in readings])
        for name, kind in OUTPUTS.items()
    ]


def _check_count(count: int, limits: Limits) -> None:
    if count < 1:
        raise RequestError("the request holds no image; send at least one")
    if count > limits.max_images:
        raise TooLargeError(
            f"{count} images in one request, at most {limits.max_images} are read; send them in several requests"
        )


def _v1_text(value: object, at: int) -> str:
    if isinstance(value, dict) and isinstance(value.get("image"), dict):
        value = value["image"]
    text = value.get("b64") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise RequestError(f'instance {at}: expected {{"image": {{"b64": "..."}}}}, got {_shown(value)}')
    return text


def _v2_image(value: object, at: int, limits: Limits) -> bytes:
    if isinstance(value, str):
        return _from_base64(value, at, limits)
    if not isinstance(value, bytes):
        raise RequestError(f"instance {at}: expected base64 text, got {_shown(value)}")
    _check_size(len(value), at, limits)
    return value


def _from_base64(text: str, at: int, limits: Limits) -> bytes:
    text = "".join(text.split())  # the base64 command breaks its lines
    _check_size(max(1, len(text) * 3 // 4 - 2), at, limits)  # at least so many bytes, if it is base64 at all
    try:
        image = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            f"instance {at}: not base64 ({error}); encode the image file's bytes, without a data: prefix"
        ) from error
    _check_size(len(image), at, limits)
    return image


def _check_size(size: int, at: int, limits: Limits) -> None:
    if size < 1:
        raise RequestError(f"instance {at}: image has no bytes; check that the file was copied whole")
    if size > limits.max_image_bytes:
        raise TooLargeError(
            f"instance {at}: image has {size} bytes, at most {limits.max_image_bytes} are read; "
            "cut it into lines or save it smaller"
        )


def _shown(value: object) -> str:
    """Return a value's repr, short enough for one line: what clients send may be megabytes."""
    if isinstance(value, dict):
        return f"an object with {_shown(sorted(map(str, value))[:5])}"
    if isinstance(value, str | bytes | list) and len(value) > 60:
        return f"{type(value).__name__} of length {len(value)}"
    return repr(value)[:80]
