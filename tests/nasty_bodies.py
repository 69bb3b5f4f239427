"""Request bodies that go wrong, by name; nasty_inputs.csv says what the server answers to each."""

import base64
import json
from typing import Any

from tests.nasty_images import PLAIN

B64 = base64.b64encode(PLAIN).decode()
GOOD = {"image": {"b64": B64}}


def v2(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64], **changes}]}


def deep(levels: int) -> bytes:
    return b'{"instances": ' + b"[" * levels + b"]" * levels + b"}"


V1_BODIES: dict[str, Any] = {
    "no_body": b"",
    "half_a_body": b'{"instances": [',
    "json_null": None,
    "json_true": True,
    "json_number": 3.5,
    "json_text": "instances",
    "json_list": [GOOD],
    "not_utf8": b'{"instances": ["\xff\xfe"]}',
    "utf16": json.dumps({"instances": [GOOD]}).encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf" + json.dumps({"instances": [GOOD]}).encode(),
    "nan": b'{"instances": [NaN]}',
    "infinity": b'{"instances": [Infinity]}',
    "number_beyond_floats": b'{"instances": 1e999}',
    "lone_surrogate": b'{"instances": ["\\ud800"]}',
    "trailing_comma": b'{"instances": ["' + B64.encode() + b'",]}',
    "deep": deep(200),
    "very_deep": deep(100_000),
    "xml_body": b"<?xml version='1.0'?><instances/>",
    "form_body": b"instances=" + B64.encode(),
    "no_instances": {"inputs": []},
    "instances_null": {"instances": None},
    "instances_object": {"instances": {"b64": B64}},
    "instances_text": {"instances": B64},
    "no_images": {"instances": []},
    "image_null": {"instances": [None]},
    "image_true": {"instances": [True]},
    "image_number": {"instances": [7]},
    "image_list": {"instances": [[B64]]},
    "image_of_no_b64": {"instances": [{"image": {"url": "file:///etc/passwd"}}]},
    "b64_null": {"instances": [{"b64": None}]},
    "b64_list": {"instances": [{"image": {"b64": [B64]}}]},
    "second_image_number": {"instances": [GOOD, 7]},
    "not_base64": {"instances": ["!!! not base64 !!!"]},
    "data_address": {"instances": [f"data:image/png;base64,{B64}"]},
    "base64_unpadded": {"instances": ["aaaaa"]},
    "base64_of_the_web": {"instances": ["-_-_"]},
    "base64_of_letters_with_marks": {"instances": ["äöüß"]},
    "base64_in_lines": {"instances": [base64.encodebytes(PLAIN).decode()]},
    "same_key_twice": b'{"instances": 7, "instances": ["' + B64.encode() + b'"]}',
    "sixty_five_images": {"instances": [GOOD] * 65},
    "eleven_mib": {"instances": [base64.b64encode(bytes(11 * 1024 * 1024)).decode()]},
    "parameters_list": {"instances": [GOOD], "parameters": []},
    "characters_text": {"instances": [GOOD], "parameters": {"characters": "yes"}},
    "alternatives_negative": {"instances": [GOOD], "parameters": {"alternatives": -1}},
    "alternatives_million": {"instances": [GOOD], "parameters": {"alternatives": 1_000_000}},
    "alternatives_null": {"instances": [GOOD], "parameters": {"alternatives": None}},
    "unknown_parameter": {"instances": [GOOD], "parameters": {"mood": "good"}},
}
V2_BODIES: dict[str, Any] = {
    "v2_no_body": b"",
    "v2_null": None,
    "v2_text": "inputs",
    "v2_no_inputs": {"inputs": []},
    "v2_inputs_object": {"inputs": {}},
    "v2_two_inputs": {"inputs": v2()["inputs"] * 2},
    "v2_other_name": v2(name="picture"),
    "v2_numbers": v2(datatype="FP32", data=[0.5]),
    "v2_shape_text": v2(shape=["1"]),
    "v2_shape_true": v2(shape=[True]),
    "v2_shape_nan": json.dumps(v2(shape=[float("nan")])).encode(),
    "v2_shape_negative": v2(shape=[-1]),
    "v2_shape_billion": v2(shape=[10**9]),
    "v2_shape_beyond_integers": v2(shape=[10**30]),
    "v2_shape_of_none": v2(shape=[]),
    "v2_shape_of_two_images": v2(shape=[2]),
    "v2_shape_of_three_dimensions": v2(shape=[1, 1, 1]),
    "v2_data_number": v2(data=[7]),
    "v2_data_nan": json.dumps(v2(data=[float("nan")])).encode(),
    "v2_data_nested": v2(data=[[B64]]),
    "v2_data_object": v2(data=[{"b64": B64}]),
    "v2_not_base64": v2(data=["???"]),
    "v2_id_number": {**v2(), "id": 7},
    "v2_id_of_control_characters": {**v2(), "id": "a\r\nb"},
    "v2_unknown_output": {**v2(), "outputs": [{"name": "boxes"}]},
    "v2_parameter_null": {**v2(), "parameters": {"characters": None}},
    "v2_parameter_object": {**v2(), "parameters": {"characters": {"all": True}}},
    "v2_alternatives_half": {**v2(), "parameters": {"alternatives": 1.5}},
    "v2_named_outputs": {**v2(), "outputs": [{"name": "characters"}, {"name": "text"}]},
}
"""What is bytes goes as it is, anything else as JSON."""
