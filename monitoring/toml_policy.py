"""A policy's TOML file in, its values by name out, each of its field's kind; what they mean the policies say.

Whatever a file leaves out has its default; a name that nobody knows is an error.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from htr.errors import SettingsError

Kind = TypeVar("Kind")


def read_toml(file: Path) -> dict[str, Any]:
    """Return what a file holds.

    Raises:
        SettingsError: it is missing, or no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: no policy can be read there ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file}: not a TOML file ({error})") from error


def policy_of(
    values: Mapping[str, Any], made: Callable[[dict[str, Any]], Kind], *, version: int, where: str
) -> Kind:
    """Return the policy that values stand for.

    Args:
        values: as a file holds them, ``version`` among them.
        made: makes a policy of the others; what it refuses is a ValueError that names the value.
        version: that this program knows.
        where: the file, for messages.

    Raises:
        SettingsError: of another version, or with a name or value that is not known.
    """
    given = dict(values)
    found = given.pop("version", None)
    if found != version:
        raise SettingsError(f"{where}: expected version = {version}, found {found!r}")
    try:
        return made(given)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def typed(defaults: Any, given: Any, prefix: str = "") -> dict[str, Any]:
    """Return a table's values, each of the kind that its field has by default.

    Args:
        defaults: a dataclass with the default values.
        given: the table.
        prefix: of names in messages, ``watch.``.

    Raises:
        ValueError: no table, or with a name or a kind of value that is not known.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"{prefix.rstrip('.')}: expected a table, found {given!r}")  # noqa: TRY004 - as for values
    known = [spec.name for spec in fields(defaults)]
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{prefix}{name}: not known; known are {', '.join(known)}")
        default = getattr(defaults, name)
        if isinstance(default, tuple):
            is_list = isinstance(value, list | tuple) and all(type(one) is int for one in value)
            check(is_list, f"{prefix}{name}", f"a list like {list(default)}", value)
            found[name] = tuple(value)
            continue
        fits = type(value) is type(default) or (isinstance(default, float) and type(value) is int)
        check(fits, f"{prefix}{name}", f"a value like {default!r}", value)
        found[name] = float(value) if isinstance(default, float) else value
    return found


def check(holds: bool, name: str, expected: str, found: object) -> None:
    """Refuse a value that makes no sense.

    Raises:
        ValueError: it does not hold.
    """
    if not holds:
        raise ValueError(f"{name}: expected {expected}, found {found!r}")
