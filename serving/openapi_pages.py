"""JSON schemas of the payloads of pages, as `openapi` shows them."""

from serving.limits import Limits
from serving.openapi_schemas import PROBABILITY, STAMP, VERDICT, Schema, an_object, ref, v2_request
from serving.page_wanted import FORMATS, MAX_NAME, NAME, OUTPUT

_POINTS: Schema = {
    "type": "array",
    "minItems": 2,
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    "description": "[x, y] in pixels of the page, set upright.",
}
_POSITION: Schema = {"type": "integer", "minimum": 0}
_LINE = an_object(
    {
        "region": {"type": "integer", "minimum": 0, "description": "Block of lines, in reading order."},
        "polygon": _POINTS,
        "baseline": _POINTS,
        "text": {"type": "string"},
        "confidence": {**PROBABILITY, "description": "That the whole line is right; calibrated."},
        "words": {
            "type": "array",
            "items": an_object({"text": {"type": "string", "minLength": 1}, "polygon": _POINTS}),
        },
        "position": {**_POSITION, "description": "Place among the lines of the request."},
        "verdicts": {"type": "array", "items": VERDICT, "minItems": 1},
        "characters": {"type": "array", "items": ref("Character")},
        "alternatives": {"type": "array", "items": ref("Alternative")},
        "crop": an_object({"b64": {"type": "string", "format": "byte"}}),
    },
    optional=("characters", "alternatives", "crop"),
)
_PAGE = an_object(
    {
        "page": {"type": "integer", "minimum": 1},
        "width": {"type": "integer", "minimum": 1},
        "height": {"type": "integer", "minimum": 1},
        "skew_degrees": {"type": "number"},
        "lines": {"type": "array", "items": ref("PageLine")},
    }
)
_WORD = "|".join(FORMATS)
_FORMAT_LIST: Schema = {"type": "array", "items": {"type": "string", "enum": list(FORMATS)}}
_FORMAT_WORDS: Schema = {"type": "string", "pattern": f"^(({_WORD})(,({_WORD}))*)?$"}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}, "description": "One a page."}
_FILES = an_object(
    {
        "text": {"type": "string", "description": "A form feed stands between pages."},
        "alto": _TEXTS,
        "page": _TEXTS,
        "pdf": {"type": "string", "description": "Base64; all pages."},
        "overlay": {**_TEXTS, "description": "Base64 of a JPEG each, one a page."},
    },
    optional=FORMATS,
)
_PREDICTION = an_object(
    {
        "pages": {"type": "array", "items": ref("Page")},
        "files": _FILES,
        "verdicts": {"type": "array", "items": VERDICT, "minItems": 1},
        "error": {"type": "string", "description": "Why there are no pages, in partial answers."},
    },
    optional=("error",),
)
_V2_ANSWER = an_object(
    {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string", "minLength": 1},
        "parameters": an_object(STAMP),
        "outputs": {
            "type": "array",
            "items": an_object(
                {
                    "name": {"const": OUTPUT},
                    "datatype": {"const": "BYTES"},
                    "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
                    "data": {"type": "array", "items": {"type": "string", "description": "JSON, as in V1."}},
                    "parameters": {"type": ["object", "null"]},
                },
                optional=("data", "parameters"),
            ),
        },
    }
)


def page_schemas(limits: Limits) -> Schema:
    """Return the schemas of requests and answers, with the limits in them."""
    wanted: Schema = {
        "formats": {"anyOf": [_FORMAT_LIST, _FORMAT_WORDS], "default": []},
        "crops": {"type": "boolean", "default": False, "description": "Pictures of the lines, as they were read."},
        "characters": {
            "type": "boolean",
            "default": False,
            "description": "Their places on the crop.",
        },
        "alternatives": {"type": "integer", "minimum": 0, "maximum": limits.max_alternatives, "default": 0},
        "partial": {"type": "boolean", "default": False, "description": "Read the files that can be read."},
    }
    file = an_object({"b64": ref("Base64File")})
    name: Schema = {"type": "string", "maxLength": MAX_NAME, "pattern": NAME, "description": "In XML files."}
    named = an_object({"image": file, "name": name}, optional=("name",))
    files: Schema = {"minItems": 1, "maxItems": limits.max_files}
    in_v2 = {**wanted, "formats": _FORMAT_WORDS}
    return {
        "Base64File": {
            "type": "string",
            "format": "byte",
            "minLength": 1,
            "description": "A file's bytes: PNG, JPEG, WebP, BMP, GIF, TIFF or PDF of several pages.",
        },
        "PageLine": _LINE,
        "Page": _PAGE,
        "PagesPrediction": _PREDICTION,
        "V1PagesRequest": an_object(
            {
                "instances": {
                    "type": "array",
                    "items": {"anyOf": [named, file, ref("Base64File")]},
                    **files,
                },
                "parameters": {"type": ["object", "null"], "properties": wanted},
            },
            optional=("parameters",),
        ),
        "V1PagesAnswer": an_object(
            {"predictions": {"type": "array", "items": ref("PagesPrediction"), "minItems": 1}, **STAMP}
        ),
        "V2PagesRequest": v2_request(in_v2, files, [OUTPUT], image="Base64File"),
        "V2PagesAnswer": _V2_ANSWER,
    }
