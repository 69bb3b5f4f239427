"""The parameters of a request to read pages: what its answer shall hold beyond lines, text and confidence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from serving.limits import Limits
from serving.protocol import shown
from serving.refusals import RequestError
from serving.wanted import Wanted, flag

FORMATS = ("text", "alto", "page", "pdf", "overlay")
"""Files that can be asked for, by the words of ``python -m htr pages --formats``."""
NAME = r"^[^\x00-\x1f\x7f]*$"
"""What a file can be called: no control characters."""
MAX_NAME = 255
"""Characters of a file's name."""
OUTPUT = "pages"
"""The one V2 output: what V1 says of a file, as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageWanted:
    """What a request asks for; nothing of it by default."""

    lines: Wanted
    """What each line shall hold, and whether a file that cannot be read refuses the whole request."""
    formats: tuple[str, ...] = ()
    """Some of FORMATS, each once."""
    crops: bool = False
    """The picture of each line as it was read, which a correction of it must send."""

    @classmethod
    def parse(cls, parameters: object, limits: Limits) -> "PageWanted":
        """Take what is ours from the parameters of a V1 or V2 request.

        Args:
            parameters: what JSON or gRPC held; None is no parameters.
            limits: how many alternatives may be asked for.

        Raises:
            RequestError: they are no object, or one of ours has an impossible value.
        """
        lines = Wanted.parse(parameters, limits)
        if not isinstance(parameters, Mapping):
            return cls(lines=lines)
        return cls(lines=lines, formats=_formats(parameters), crops=flag(parameters, "crops"))


def names_from_v1(payload: object) -> list[str]:
    """Return what a V1 request calls its files, "" where it does not: ``{"image": {...}, "name": "letter.jpg"}``.

    Raises:
        RequestError: a name is none.
    """
    instances = payload.get("instances") if isinstance(payload, dict) else None
    names: list[str] = []
    for at, instance in enumerate(instances if isinstance(instances, list) else []):
        name = instance.get("name", "") if isinstance(instance, dict) else ""
        if not isinstance(name, str) or len(name) > MAX_NAME or not re.fullmatch(NAME, name):
            raise RequestError(
                f"instance {at}: name: expected at most {MAX_NAME} characters and no control characters"
            )
        names.append(name)
    return names


def _formats(parameters: Mapping[str, object]) -> tuple[str, ...]:
    """Return the formats, from a list or, as V2's parameters know no lists, from words with commas between."""
    value = parameters.get("formats", [])
    if isinstance(value, str):
        value = value.split(",") if value else []
    if not isinstance(value, list) or not all(isinstance(one, str) and one in FORMATS for one in value):
        raise RequestError(f"parameters.formats: expected some of {list(FORMATS)}, got {shown(value)}")
    return tuple(one for one in FORMATS if one in value)
