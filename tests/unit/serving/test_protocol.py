import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferInput

from htr.image import probe
from htr.verdicts import Verdict
from serving.limits import Limits
from serving.protocol import check_pixels, images_from_v1, images_from_v2
from serving.refusals import ImageRefusedError, RequestError, TooLargeError
from tests.conftest import line_png

SMALL = Limits(max_images=3, max_image_bytes=100)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def json_tensor(data: list[object], shape: list[int], name: str = "image", datatype: str = "BYTES") -> InferInput:
    return InferInput(name, shape, datatype, data=data)


def raw_tensor(images: list[bytes]) -> InferInput:
    tensor = InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=np.object_))
    return tensor


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=3))
def test_every_form_of_request_gives_back_the_images_in_order(images: list[bytes]) -> None:
    texts = [b64(image) for image in images]
    assert images_from_v1({"instances": [{"image": {"b64": text}} for text in texts]}, SMALL) == images
    assert images_from_v1({"instances": [{"b64": text} for text in texts]}, SMALL) == images
    assert images_from_v1({"instances": texts}, SMALL) == images
    assert images_from_v2([json_tensor(texts, [len(texts)])], SMALL) == images
    assert images_from_v2([json_tensor(texts, [len(texts), 1])], SMALL) == images
    assert images_from_v2([raw_tensor(images)], SMALL) == images


def test_broken_base64_lines_are_joined() -> None:
    assert images_from_v1({"instances": [base64.encodebytes(bytes(90)).decode()]}, SMALL) == [bytes(90)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "expected .*instances.* got None"),
        ([], r"expected .*instances.* got \[\]"),
        ("text", "got 'text'"),
        ({}, "got an object with"),
        ({"inputs": []}, r"got an object with \['inputs'\]"),
        ({"instances": None}, 'whose "instances" is a list'),
        ({"instances": {"b64": "aa"}}, 'whose "instances" is a list'),
        ({"instances": []}, "holds no image"),
        ({"instances": [None]}, "instance 0: expected .* got None"),
        ({"instances": ["aaaa", 7]}, "instance 1: expected .* got 7"),
        ({"instances": ["aaaa", {"image": "aaaa"}]}, r"instance 1: expected .* got an object with \['image'\]"),
        ({"instances": [{"image": {"b64": None}}]}, "instance 0: expected"),
        ({"instances": [{"image": {"b64": [1]}}]}, "instance 0: expected"),
        ({"instances": ["aaaa", "not base64!"]}, "instance 1: not base64"),
        ({"instances": ["aaa"]}, "instance 0: not base64"),
        ({"instances": ["ä"]}, "instance 0: "),
        ({"instances": ["data:image/png;base64,aaaa"]}, "instance 0: not base64 .*without a data: prefix"),
        ({"instances": [""]}, "instance 0: image has no bytes"),
    ],
)
def test_a_bad_v1_payload_is_refused_with_the_instance_and_the_remedy(payload: object, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as refused:
        images_from_v1(payload, SMALL)
    assert refused.value.status == 400
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([], r'one input named "image", got \[\]'),
        ([json_tensor(["aaaa"], [1], name="picture")], "got .'picture'."),
        ([json_tensor(["aaaa"], [1])] * 2, "expected one input"),
        ([json_tensor([1, 2], [2], datatype="UINT8")], "expected datatype BYTES, got 'UINT8'"),
        ([json_tensor(["aaaa"], [])], r"expected shape \[n\]"),
        ([json_tensor(["aaaa"] * 2, [1, 2])], r"expected shape \[n\]"),
        ([json_tensor(["aaaa"], [0])], "holds no image"),
        ([json_tensor(["aaaa"], [-1])], "holds no image"),
        ([json_tensor(["aaaa"], [2])], "does not fill shape"),
        ([json_tensor([["aaaa"], ["aaaa", "aaaa"]], [2])], "instance 0: expected base64 text"),
        ([json_tensor([], [2])], "does not fill shape"),
        ([json_tensor(["aaaa", 7], [2])], "instance 1: expected base64 text, got 7"),
        ([json_tensor(["aaaa", None], [2])], "instance 1: expected base64 text, got None"),
        ([json_tensor(["aaaa", "!"], [2])], "instance 1: not base64"),
        ([raw_tensor([b"abc", b""])], "instance 1: image has no bytes"),
    ],
)
def test_a_bad_v2_request_is_refused_with_the_instance_and_the_remedy(
    tensors: list[InferInput], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason) as refused:
        images_from_v2(tensors, SMALL)
    assert refused.value.status == 400


@pytest.mark.parametrize("raw", [struct.pack("<I", 4_000_000_000) + b"short", b"\x01", struct.pack("<I", 9)])
def test_a_raw_tensor_that_lies_about_its_length_is_refused(raw: bytes) -> None:
    tensor = InferInput("image", [1], "BYTES")
    tensor._raw_data = raw
    with pytest.raises(RequestError, match="does not fill shape"):
        images_from_v2([tensor], SMALL)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"instances": ["aaaa"] * 4}, "4 images in one request, at most 3"),
        ({"instances": ["aaaa", b64(bytes(101))]}, "instance 1: image has 101 bytes, at most 100"),
        ({"instances": [b64(bytes(10_000))]}, "instance 0: image has (10000|9999) bytes"),
    ],
)
def test_too_much_is_413(payload: object, reason: str) -> None:
    with pytest.raises(TooLargeError, match=reason) as refused:
        images_from_v1(payload, SMALL)
    assert refused.value.status == 413


def test_an_image_of_exactly_the_limit_passes() -> None:
    for size in (98, 99, 100):
        assert images_from_v1({"instances": [b64(bytes(size))]}, SMALL) == [bytes(size)]


def test_the_pixels_of_all_images_together_are_limited_from_their_headers_alone() -> None:
    limits = Limits(max_pixels=1000)
    image = line_png("abc", height=16)
    width, height = probe(image)
    num_fitting = 1000 // (width * height)
    headers_only = image[:64]  # a decoder would refuse it
    check_pixels([headers_only] * num_fitting, limits)
    with pytest.raises(
        TooLargeError, match=f"up to instance {num_fitting} have .* at most 1000 .*several requests"
    ):
        check_pixels([image] * (num_fitting + 5), limits)
    with pytest.raises(RequestError, match=r"^instance 1: bytes are not an image") as refused:
        check_pixels([image, b"no image"], limits)
    assert refused.value.status == 400


def test_a_partial_request_gets_what_is_wrong_with_an_image_in_its_place() -> None:
    image = line_png("abc", height=16)
    limits = Limits(max_image_bytes=len(image))
    payload = {"instances": [b64(image), "", "not base64!", b64(image + b"more"), b64(b"no image")]}
    sent = check_pixels(images_from_v1(payload, limits, partial=True), limits, partial=True)
    assert sent[0] == image
    refused = [one for one in sent[1:] if isinstance(one, ImageRefusedError)]
    assert [one.verdict for one in refused] == [
        Verdict.EMPTY,
        Verdict.UNDECODABLE,
        Verdict.TOO_LARGE,
        Verdict.UNDECODABLE,
    ]
    assert [one.instance for one in refused] == [1, 2, 3, 4]
    with pytest.raises(RequestError, match="instance 1: expected"):  # no image at all: nobody can say whose place
        images_from_v1({"instances": [b64(image), 7]}, limits, partial=True)


def test_limits_below_one_are_impossible() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(max_images=0)
