"""The description of our endpoints, /openapi.json: KServe's own, with our payloads where it says "any"."""

from copy import deepcopy
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.access import is_open
from serving.limits import Limits
from serving.openapi_pages import page_schemas
from serving.openapi_schemas import SCHEMAS, payload_schemas

PREDICT = "/v1/models/{model_name}:predict"
INFER = "/v2/models/{model_name}/infer"
NOT_OFFERED = (
    "/v1/models/{model_name}:explain",
    "/v2/models/{model_name}/versions/{model_version}/ready",
)
"""Routes of KServe's that answer 501: there is no explainer, and one version at a time."""
_ERRORS = {
    "400": "The payload, or one of its images, cannot be read; nothing of it was.",
    "401": "The server wants a token.",
    "403": "Not for clients, or for pages of other sites.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time.",
    "413": "The request, or one of its images, is over a limit.",
    "429": "As many requests wait as may; Retry-After says when to come back.",
    "500": "A fault of ours; the log has it under the request id.",
    "503": "It took longer than it may; Retry-After says when to come back.",
}
_OF_READING = ("400", "401", "403", "404", "408", "413", "429", "500", "503")
_WITH_RETRY = {"429", "503"}


def describe(
    app: FastAPI, *, limits: Limits, with_token: bool, lines: str = "", pages: str = ""
) -> dict[str, Any]:
    """Return the OpenAPI document of the routes that an application has by now.

    Args:
        app: KServe's application, with every route in place.
        lines: name of the model that reads lines, "" where there is none.
        pages: name of the model that reads pages, "" where there is none.
        limits: bounds that the payloads are described with.
        with_token: whether clients must send one.
    """
    document: dict[str, Any] = get_openapi(
        title="Quillflow model server",
        version=version("quillflow"),
        description="Images of handwritten lines and pages in, text out, by KServe's V1 and V2 protocols.",
        routes=app.routes,
    )
    paths = document["paths"]
    for path in NOT_OFFERED:
        paths.pop(path, None)
    for path, operations in paths.items():
        for method, operation in operations.items():
            _correct(operation, path, method, [name for name in (lines, pages) if name])
    if lines:
        _describe_reading(paths, lines, PREDICT, "V1Request", "V1Answer")
        _describe_reading(paths, lines, INFER, "V2Request", "V2Answer")
    if pages:
        predict, infer = PREDICT, INFER
        if lines:  # payloads differ by model: a path that names one goes before the path of any
            predict, infer = (path.format(model_name=pages) for path in (PREDICT, INFER))
            paths |= {predict: _of_one_model(paths[PREDICT]), infer: _of_one_model(paths[INFER])}
        _describe_reading(paths, pages, predict, "V1PagesRequest", "V1PagesAnswer")
        _describe_reading(paths, pages, infer, "V2PagesRequest", "V2PagesAnswer")
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **SCHEMAS}
    if lines:
        components["schemas"] |= payload_schemas(limits)
    if pages:
        components["schemas"] |= page_schemas(limits)
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path, operations in paths.items():
            if is_open(path):
                operations["get"]["security"] = []
    return document


def _describe_reading(paths: dict[str, Any], name: str, path: str, request: str, answer: str) -> None:
    """Say what a route that reads takes and answers."""
    operation = paths[path]["post"]
    for parameter in operation["parameters"]:
        if parameter["name"] == "model_name":
            parameter["schema"] = {"type": "string", "enum": [name]}
    content = _json(answer)
    if path.endswith("/infer"):
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    operation["requestBody"] = {"required": True, "content": _json(request)}
    operation["responses"] = {
        "200": {"description": "One prediction an image, in order.", "content": content},
        **_errors(*_OF_READING),
    }


def _of_one_model(operations: dict[str, Any]) -> dict[str, Any]:
    """Return a path's operations without the parameter that names the model."""
    copied: dict[str, Any] = deepcopy(operations)
    for operation in copied.values():
        operation["operationId"] += "_pages"
        operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "model_name"]
    return copied


def _correct(operation: dict[str, Any], path: str, method: str, names: list[str]) -> None:
    """Put right what FastAPI cannot know about a route of KServe's."""
    answers = operation["responses"]
    if answers.pop("422", None) is not None:  # it is 400 here, whatever it is
        answers |= _errors("400")
    # KServe declares a version that it then does not support.
    parameters = [one for one in operation.get("parameters", ()) if one["name"] != "model_version"]
    operation["parameters"] = parameters
    for parameter in parameters:
        if parameter["name"] == "model_name":
            parameter["schema"] = {"type": "string", "enum": names}
            answers |= _errors("404")
    if path == "/metrics":
        answers["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if path.startswith("/v2/repository/") and method == "post":
        operation["responses"] = _errors("401", "403")
    else:
        answers |= _errors("401", "403")


def _errors(*statuses: str) -> dict[str, Any]:
    after = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
    return {
        status: {
            "description": _ERRORS[status],
            "content": _json("Error"),
            **({"headers": after} if status in _WITH_RETRY else {}),
        }
        for status in statuses
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
