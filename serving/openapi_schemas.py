"""JSON schemas of our payloads, as `openapi` shows them."""

from typing import Any

from htr.verdicts import Verdict
from serving.answers import EXTRA_OUTPUTS, OUTPUTS
from serving.limits import Limits
from serving.protocol import INPUT_NAME
from serving.wanted import MAX_POSITION

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to one of our schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def an_object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """Return the schema of an object, all of whose properties must be there but those named optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


STAMP: Schema = {
    "model_version": {"type": "string"},
    "request_id": {"type": "string", "minLength": 1},
    "bundle_digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
VERDICT: Schema = {"type": "string", "enum": [verdict.value for verdict in Verdict]}

SCHEMAS: Schema = {
    "Base64Image": {
        "type": "string",
        "format": "byte",
        "minLength": 1,
        "description": "An image file's bytes: PNG, JPEG, WebP, TIFF, BMP or GIF.",
    },
    "Character": an_object(
        {
            "character": {"type": "string", "minLength": 1, "maxLength": 1},
            "left": {"type": "number", "minimum": 0, "description": "Pixels of the image, set upright."},
            "right": {"type": "number", "minimum": 0},
            "confidence": {**PROBABILITY, "description": "Of the network at its best step; not calibrated."},
        }
    ),
    "Alternative": an_object(
        {
            "text": {"type": "string"},
            "log_prob": {"type": ["number", "null"], "maximum": 0},
            "score": {"type": ["number", "null"], "description": "What the order goes by."},
        }
    ),
    "Prediction": an_object(
        {
            "text": {"type": "string"},
            "confidence": {**PROBABILITY, "description": "That the whole line is right; calibrated."},
            "verdicts": {"type": "array", "items": VERDICT, "minItems": 1},
            "characters": {"type": "array", "items": ref("Character")},
            "alternatives": {"type": "array", "items": ref("Alternative")},
            "error": {"type": "string", "description": "Why there is no reading, in partial answers."},
        },
        optional=("characters", "alternatives", "error"),
    ),
    "V1Answer": an_object({"predictions": {"type": "array", "items": ref("Prediction"), "minItems": 1}, **STAMP}),
    "V2Answer": an_object(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string", "minLength": 1},
            "parameters": an_object(STAMP),
            "outputs": {
                "type": "array",
                "items": an_object(
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
    "Error": an_object(
        {
            "error": {"type": "string", "description": "What is wrong, where, and what to do, in one line."},
            "code": {"type": "string"},
            "instance": {"type": "integer", "minimum": 0, "description": "The image at fault."},
            "verdict": VERDICT,
            **STAMP,
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
        "first_position": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_POSITION,
            "default": 0,
            "description": "Place of the first image in a larger request, for the prediction log.",
        },
    }
    image = an_object({"b64": ref("Base64Image")})
    images = {"minItems": 1, "maxItems": limits.max_images}
    return {
        "V1Request": an_object(
            {
                "instances": {
                    "type": "array",
                    "items": {"anyOf": [an_object({"image": image}), image, ref("Base64Image")]},
                    **images,
                },
                "parameters": {"type": ["object", "null"], "properties": wanted},
            },
            optional=("parameters",),
        ),
        "V2Request": v2_request(wanted, images, [*OUTPUTS, *EXTRA_OUTPUTS]),
    }


def v2_request(wanted: Schema, images: Schema, outputs: list[str], *, image: str = "Base64Image") -> Schema:
    """Return the schema of a V2 request.

    Args:
        wanted: its parameters that are ours.
        images: how many there may be, as ``minItems`` and ``maxItems``.
        outputs: what can be asked for by name.
        image: name of the schema of one.
    """
    return an_object(
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
                "items": an_object(
                    {
                        "name": {"type": "string", "const": INPUT_NAME},
                        "datatype": {"type": "string", "const": "BYTES"},
                        "shape": {
                            "type": "array",
                            "items": {"type": "integer", "minimum": 1, "maximum": images["maxItems"]},
                            "minItems": 1,
                            "maxItems": 1,
                            "description": "The number of images.",
                        },
                        "data": {"type": "array", "items": ref(image), **images},
                    }
                ),
            },
            "outputs": {
                "type": ["array", "null"],
                "items": an_object({"name": {"type": "string", "enum": outputs}}),
            },
        },
        optional=("id", "parameters", "outputs"),
    )
