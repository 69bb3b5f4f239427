"""JSON schemas of our payloads, as `openapi` shows them."""

from typing import Any

from htr.verdicts import Verdict
from serving.answers import EXTRA_OUTPUTS, OUTPUTS
from serving.limits import Limits
from serving.protocol import INPUT_NAME

Schema = dict[str, Any]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


_STAMP: Schema = {
    "model_version": {"type": "string"},
    "request_id": {"type": "string", "minLength": 1},
    "bundle_digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_VERDICT: Schema = {"type": "string", "enum": [verdict.value for verdict in Verdict]}

SCHEMAS: Schema = {
    "Base64Image": {
        "type": "string",
        "format": "byte",
        "minLength": 1,
        "description": "An image file's bytes: PNG, JPEG, WebP, TIFF, BMP or GIF.",
    },
    "Character": _object(
        {
            "character": {"type": "string", "minLength": 1, "maxLength": 1},
            "left": {"type": "number", "minimum": 0, "description": "Pixels of the image, set upright."},
            "right": {"type": "number", "minimum": 0},
            "confidence": {**_PROBABILITY, "description": "Of the network at its best step; not calibrated."},
        }
    ),
    "Alternative": _object(
        {
            "text": {"type": "string"},
            "log_prob": {"type": ["number", "null"], "maximum": 0},
            "score": {"type": ["number", "null"], "description": "What the order goes by."},
        }
    ),
    "Prediction": _object(
        {
            "text": {"type": "string"},
            "confidence": {**_PROBABILITY, "description": "That the whole line is right; calibrated."},
            "verdicts": {"type": "array", "items": _VERDICT, "minItems": 1},
            "characters": {"type": "array", "items": _ref("Character")},
            "alternatives": {"type": "array", "items": _ref("Alternative")},
            "error": {"type": "string", "description": "Why there is no reading, in partial answers."},
        },
        optional=("characters", "alternatives", "error"),
    ),
    "V1Answer": _object({"predictions": {"type": "array", "items": _ref("Prediction"), "minItems": 1}, **_STAMP}),
    "V2Answer": _object(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string", "minLength": 1},
            "parameters": _object(_STAMP),
            "outputs": {
                "type": "array",
                "items": _object(
                    {
                        "name": {"type": "string", "enum": [*OUTPUTS, *EXTRA_OUTPUTS]},
                        "datatype": {"type": "string", "enum": ["BYTES", "FP32"]},
                        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
                        "data": {"type": "array", "items": {"type": ["string", "number"]}},
                        "parameters": {"type": ["object", "null"]},
                    },
                    optional=("data", "parameters"),
                ),
            },
        }
    ),
    "Error": _object(
        {
            "error": {"type": "string", "description": "What is wrong, where, and what to do, in one line."},
            "code": {"type": "string"},
            "instance": {"type": "integer", "minimum": 0, "description": "The image at fault."},
            "verdict": _VERDICT,
            **_STAMP,
        },
        optional=("instance", "verdict"),
    ),
}
"""Schemas that no limit changes."""


def payload_schemas(limits: Limits) -> Schema:
    """Return the schemas of requests, with the limits in them."""
    wanted = {
        "characters": {"type": "boolean", "default": False, "description": "Places of the characters."},
        "alternatives": {"type": "integer", "minimum": 0, "maximum": limits.max_alternatives, "default": 0},
        "partial": {"type": "boolean", "default": False, "description": "Read what can be read."},
    }
    image = _object({"b64": _ref("Base64Image")})
    images = {"minItems": 1, "maxItems": limits.max_images}
    return {
        "V1Request": _object(
            {
                "instances": {
                    "type": "array",
                    "items": {"anyOf": [_object({"image": image}), image, _ref("Base64Image")]},
                    **images,
                },
                "parameters": {"type": ["object", "null"], "properties": wanted},
            },
            optional=("parameters",),
        ),
        "V2Request": _object(
            {
                "id": {"type": ["string", "null"]},
                "parameters": {
                    "type": ["object", "null"],
                    "properties": wanted,
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                },
                "inputs": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": _object(
                        {
                            "name": {"type": "string", "const": INPUT_NAME},
                            "datatype": {"type": "string", "const": "BYTES"},
                            "shape": {
                                "type": "array",
                                "items": {"type": "integer", "minimum": 1, "maximum": limits.max_images},
                                "minItems": 1,
                                "maxItems": 1,
                                "description": "The number of images.",
                            },
                            "data": {"type": "array", "items": _ref("Base64Image"), **images},
                        }
                    ),
                },
                "outputs": {
                    "type": ["array", "null"],
                    "items": _object({"name": {"type": "string", "enum": [*OUTPUTS, *EXTRA_OUTPUTS]}}),
                },
            },
            optional=("id", "parameters", "outputs"),
        ),
    }
