"""Training settings as plain JSON -> TrainConfig: the same names in a file, a pipeline's parameter, a search.

Settings are the fields of TrainConfig that differ from their defaults; those of the network lie below ``model``:
``{"learning_rate": 0.002, "model": {"width": 192}}``. Names and kinds are read from the dataclasses.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from htr.errors import SettingsError
from htr.train_config import TrainConfig


def training_config(settings: Mapping[str, Any]) -> TrainConfig:
    """Build a TrainConfig; whole numbers may come as floats, as KFP hands them over.

    Raises:
        SettingsError: an unknown name, or a value that makes no sense.
    """
    config: TrainConfig = _built(TrainConfig, settings, "")
    return config


def in_kind(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the order and with the kinds of their fields: 8 where KFP made 8.0 of it.

    Raises:
        SettingsError: as `training_config` does.
    """
    given = flat(settings)
    values = {name: value for name, value in flat(asdict(training_config(settings))).items() if name in given}
    return nested({name: list(v) if isinstance(v, tuple) else v for name, v in values.items()})


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a JSON file.

    Raises:
        SettingsError: it is missing, or not one JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; give a JSON file of training settings") from error
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON ({error}); give an object such as {{}}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected an object of training settings, found {type(content).__name__}")
    return content


def setting_names(kind: type = TrainConfig, prefix: str = "") -> list[str]:
    """Return the names of all settings, those of a part behind its name and a dot: ``model.width``."""
    names: list[str] = []
    for name, hint in _hints(kind).items():
        part = _part(hint)
        names += setting_names(part, f"{prefix}{name}.") if part else [f"{prefix}{name}"]
    return names


def chooses_shape(settings: Mapping[str, Any]) -> bool:
    """Return whether settings say what a network looks like, so that none with a shape of its own can be meant."""
    return bool(set(settings.get("model", {})) - {"dropout"})


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted name as nested ones: what `flat` undoes."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        *parts, last = name.split(".")
        place = settings
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return settings


def _built(kind: type, settings: Any, where: str) -> Any:
    if not isinstance(settings, Mapping):
        raise SettingsError(f"training settings: {where.rstrip('.')} must be an object, got {settings!r}")
    hints = _hints(kind)
    unknown = sorted(where + str(name) for name in set(settings) - set(hints))
    if unknown:
        raise SettingsError(
            f"unknown training settings {unknown}; known: {sorted(where + name for name in hints)}"
        )
    values = {name: _converted(value, hints[name], where + name) for name, value in settings.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"training settings {dict(settings)}: {error}") from error


def _converted(value: Any, hint: Any, name: str) -> Any:
    """Return a JSON value as the kind that a field has; kinds that are none of these stay as they are."""
    part = _part(hint)
    if part:
        return _built(part, value, f"{name}.")
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"training settings: {name} must be a list, got {value!r}")
        kind = get_args(hint)[0]
        return tuple(_converted(one, kind, name) for one in value)
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"training settings: {name} must be a number, got {value!r}")
        if hint is int:
            if value != value or abs(value) == float("inf") or value != int(value):  # noqa: PLR0124 - not a number
                raise SettingsError(f"training settings: {name} must be a whole number, got {value!r}")
            return int(value)
    if hint in (bool, str) and not isinstance(value, hint):
        raise SettingsError(f"training settings: {name} must be of kind {hint.__name__}, got {value!r}")
    return value


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def _part(hint: Any) -> type | None:
    return hint if isinstance(hint, type) and is_dataclass(hint) else None
