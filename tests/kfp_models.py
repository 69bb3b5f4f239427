"""What the Kubeflow Pipelines API takes, by kfp's own word: its generated models, and its protocol buffers.

Anything that they do not know is a `Fault`: a field, a type, a state, a pipeline that would not be understood.
"""

import json
import re
from datetime import datetime
from typing import Any

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType, PipelineSpec, PlatformSpec

_PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}
_KINDS = {
    "STRING": str,
    "NUMBER_DOUBLE": (int, float),
    "NUMBER_INTEGER": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


class Fault(AssertionError):  # noqa: N818 - it is a fault of whoever asks
    """A request is none that the API takes."""


def check(kind: str, value: Any, where: str = "") -> None:
    """Check JSON against a type as the generated models name it."""
    if found := re.fullmatch(r"list\[(.+)]", kind):
        _wanted(isinstance(value, list), kind, value, where)
        for at, one in enumerate(value):
            check(found[1], one, f"{where}[{at}]")
    elif found := re.fullmatch(r"dict\((.+), (.+)\)", kind):
        _wanted(isinstance(value, dict), kind, value, where)
        for key, one in value.items():
            check(found[2], one, f"{where}.{key}")
    elif kind in _PLAIN:
        _wanted(isinstance(value, _PLAIN[kind]), kind, value, where)  # type: ignore[arg-type]
    elif kind == "datetime":
        datetime.fromisoformat(value)
    else:
        model = getattr(kfp_server_api, kind)
        if hasattr(model, "allowable_values"):
            _wanted(value in model.allowable_values, f"one of {model.allowable_values}", value, where)
            return
        _wanted(isinstance(value, dict), kind, value, where)
        names = {wire: name for name, wire in model.attribute_map.items()}
        for key, one in value.items():
            if key not in names:
                raise Fault(f"{where}: {kind} has no field {key!r}")
            check(model.openapi_types[names[key]], one, f"{where}.{key}")


def check_filter(text: str) -> list[tuple[str, str]]:
    """Check a list's filter, which the server reads as protocol buffer JSON; return key and value of each part."""
    found = json.loads(text)
    plain = {"predicates": [{_snake(key): one for key, one in part.items()} for part in found["predicates"]]}
    check("V2beta1Filter", plain, "filter")
    parts = []
    for part in plain["predicates"]:
        if part["operation"] != kfp_server_api.V2beta1PredicateOperation.EQUALS:
            raise Fault("only EQUALS is known here")
        parts.append((part["key"], part["string_value"]))
    return parts


def check_spec(found: dict[str, Any]) -> PipelineSpec:
    """Read a compiled pipeline, with or without a platform part, as the server does."""
    spec, platform = found, None
    if "pipeline_spec" in found:
        spec, platform = found["pipeline_spec"], found.get("platform_spec")
    try:
        if platform is not None:
            json_format.ParseDict(platform, PlatformSpec())
        read = json_format.ParseDict(spec, PipelineSpec())
    except json_format.ParseError as error:
        raise Fault(f"pipeline_spec: {error}") from error
    if not read.pipeline_info.name or not read.root.dag.tasks:
        raise Fault("pipeline_spec: without a name or a task")
    return read


def check_package(text: str) -> dict[str, Any]:
    """Read an uploaded package; return it as a run's ``pipeline_spec`` holds it."""
    documents = [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]
    names = ("pipeline_spec", "platform_spec")
    found = documents[0] if len(documents) == 1 else dict(zip(names, documents, strict=True))
    check_spec(found)
    return found


def check_arguments(spec: PipelineSpec, given: dict[str, Any]) -> None:
    """Check a run's arguments against the pipeline's parameters, as the server does before it accepts a run."""
    declared = spec.root.input_definitions.parameters
    if unknown := set(given) - set(declared):
        raise Fault(f"parameters {sorted(unknown)} are not the pipeline's")
    for name, parameter in declared.items():
        optional = parameter.is_optional or parameter.HasField("default_value")
        if name not in given:
            if not optional:
                raise Fault(f"parameter {name!r} is missing")
            continue
        kind = ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)
        _wanted(isinstance(given[name], _KINDS[kind]), kind, given[name], f"parameters.{name}")  # type: ignore[arg-type]


def _wanted(fits: bool, kind: str, value: Any, where: str) -> None:
    if not fits:
        raise Fault(f"{where}: expected {kind}, got {value!r:.80}")


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)
