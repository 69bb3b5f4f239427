"""Payloads in, encoded images out: KServe's V1 and V2 protocols, without the server. Answers are in `answers`.

V1    {"instances": [{"image": {"b64": TEXT}}, {"b64": TEXT}, TEXT, ...], "parameters": {...}}    TEXT is base64
V2    one input "image", BYTES, shape [n]: base64 in JSON, the image's own bytes in gRPC or raw; parameters

A request is refused as a whole when one of its images is bad, and the reason names the instance; a request for
partial answers gets what is wrong with an image in the place of its reading.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Sequence

from kserve import InferInput

from htr.errors import ImageError
from htr.image import probe
from htr.verdicts import Verdict
from serving.limits import Limits
from serving.refusals import ImageRefusedError, ImageTooLargeError, RequestError, TooLargeError, image_refused

INPUT_NAME = "image"
Sent = bytes | ImageRefusedError
"""One encoded image, or what is wrong with it."""


def images_from_v1(payload: object, limits: Limits, *, partial: bool = False) -> list[Sent]:
    """Return the encoded images of a V1 request.

    Args:
        payload: the decoded JSON body.
        limits: what is refused.
        partial: return what is wrong with an image in its place instead of raising it.

    Raises:
        RequestError: the payload is not what this module's docstring shows.
    """
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list):
        raise RequestError(
            f'expected {{"instances": [{{"image": {{"b64": "..."}}}}, ...]}}, got {shown(payload)}; '
            'send a JSON object whose "instances" is a list'
        )
    _check_count(len(instances), limits)
    return _each(instances, lambda value, at: _from_base64(_v1_text(value, at), at, limits), partial)


def images_from_v2(inputs: Sequence[InferInput], limits: Limits, *, partial: bool = False) -> list[Sent]:
    """Return the encoded images of a V2 request, whether it came as JSON, raw or by gRPC.

    Args:
        inputs: the request's tensors; text elements are base64, bytes are an image as it is.
        limits: what is refused.
        partial: see `images_from_v1`.

    Raises:
        RequestError: the tensors are not what this module's docstring shows.
    """
    names = [tensor.name for tensor in inputs]
    if names != [INPUT_NAME]:
        raise RequestError(f'expected one input named "{INPUT_NAME}", got {shown(names)}')
    (tensor,) = inputs
    shape = list(tensor.shape)
    if tensor.datatype != "BYTES":
        raise RequestError(
            f'input "{INPUT_NAME}": expected datatype BYTES, got {shown(tensor.datatype)}; send each image '
            "as one element, base64 in JSON"
        )
    if len(shape) not in {1, 2} or shape[1:] not in ([], [1]):
        raise RequestError(f'input "{INPUT_NAME}": expected shape [n], one element an image, got {shown(shape)}')
    _check_count(shape[0], limits)
    try:
        values = tensor.as_numpy().ravel().tolist()
    except (ValueError, TypeError, struct.error) as error:
        raise RequestError(
            f'input "{INPUT_NAME}": its data does not fill shape {shape}; send one element an image'
        ) from error
    if len(values) != shape[0]:
        raise RequestError(f'input "{INPUT_NAME}": shape says {shape[0]} images, its data holds {len(values)}')
    return _each(values, lambda value, at: _v2_image(value, at, limits), partial)


def check_pixels(images: Sequence[Sent], limits: Limits, *, partial: bool = False) -> list[Sent]:
    """Check how many pixels the images of a request have, each and together, from their headers alone.

    Args:
        images: as they were sent; what was refused before stays so.
        limits: what is refused.
        partial: see `images_from_v1`.

    Raises:
        ImageRefusedError: one of them is no image, or too large.
        TooLargeError: all of them together are.
    """
    num_pixels = 0

    def checked(image: Sent, at: int) -> Sent:
        nonlocal num_pixels
        if isinstance(image, ImageRefusedError):
            return image
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
        return image

    return _each(images, checked, partial)


def shown(value: object) -> str:
    """Return a value's repr, short enough for one line: what clients send may be megabytes."""
    if isinstance(value, dict):
        return f"an object with {shown(sorted(map(str, value))[:5])}"
    if isinstance(value, str | bytes | list) and len(value) > 60:
        return f"{type(value).__name__} of length {len(value)}"
    return repr(value)[:80]


def _each(values: Sequence[object], take: Callable[..., Sent], partial: bool) -> list[Sent]:
    sent: list[Sent] = []
    for at, value in enumerate(values):
        try:
            sent.append(take(value, at))
        except ImageRefusedError as error:
            if not partial:
                raise
            sent.append(error)
    return sent


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
        raise RequestError(f'instance {at}: expected {{"image": {{"b64": "..."}}}}, got {shown(value)}')
    return text


def _v2_image(value: object, at: int, limits: Limits) -> bytes:
    if isinstance(value, str):
        return _from_base64(value, at, limits)
    if not isinstance(value, bytes):
        raise RequestError(f"instance {at}: expected base64 text, got {shown(value)}")
    _check_size(len(value), at, limits)
    return value


def _from_base64(text: str, at: int, limits: Limits) -> bytes:
    text = "".join(text.split())  # the base64 command breaks its lines
    _check_size(len(text) and max(1, len(text) * 3 // 4 - 2), at, limits)  # so many bytes, if it is base64 at all
    try:
        image = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageRefusedError(
            "not base64 text; encode the image file's bytes, without a data: prefix",
            instance=at,
            verdict=Verdict.UNDECODABLE,
        ) from error
    _check_size(len(image), at, limits)
    return image


def _check_size(size: int, at: int, limits: Limits) -> None:
    if size < 1:
        reason = "image has no bytes; check that the file was copied whole"
        raise ImageRefusedError(reason, instance=at, verdict=Verdict.EMPTY)
    if size > limits.max_image_bytes:
        raise ImageTooLargeError(
            f"image has {size} bytes, at most {limits.max_image_bytes} are read; "
            "cut it into lines or save it smaller",
            instance=at,
            verdict=Verdict.TOO_LARGE,
        )
