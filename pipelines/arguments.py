"""``-p NAME=VALUE`` in, a pipeline's arguments of the declared types out."""

import json
from typing import Any

from htr.errors import SettingsError

_KINDS = {
    "Float": "a number",
    "Integer": "a whole number",
    "Boolean": "true or false",
    "Dict": """an object in JSON, such as '{"max_lines": 500000}'""",
    "List": "a list in JSON",
    "Struct": "an object in JSON",
}
_TYPES = {"Integer": int, "Boolean": bool, "Dict": dict, "List": list, "Struct": dict}


def parameters(pairs: list[str], pipeline: str = "training") -> dict[str, Any]:
    """Turn NAME=VALUE pairs into pipeline arguments of the types that the pipeline declares.

    ``governor``, which every pipeline takes on a cluster and every run here, is among them.

    Raises:
        SettingsError: an unknown name, a value of another type, or training settings that make no sense.
    """
    from pipelines.local import pipeline_named

    inputs = pipeline_named(pipeline).component_spec.inputs or {}
    kinds = {name: found.type for name, found in inputs.items()} | {"governor": "String"}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in kinds:
            raise SettingsError(f"-p {pair}: expected NAME=VALUE with NAME one of {', '.join(sorted(kinds))}")
        try:
            arguments[name] = _typed(value, kinds[name])
        except ValueError as error:
            raise SettingsError(f"-p {pair}: {name} must be {_KINDS[kinds[name]]} ({error})") from error
    if arguments.get("settings"):
        from htr.settings import training_config  # brings torch along

        training_config(arguments["settings"])  # a misspelt name is told now, not after the lines were read
    return arguments


def _typed(value: str, kind: str) -> Any:
    if kind == "String":
        return value
    if kind == "Float":
        return float(value)
    parsed = json.loads(value)
    if not isinstance(parsed, _TYPES.get(kind, object)) or (kind == "Integer" and isinstance(parsed, bool)):
        raise ValueError(f"found {value}")
    return parsed
