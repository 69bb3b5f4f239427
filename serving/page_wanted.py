"""The parameters of a request to read pages: what its answer shall hold beyond lines, text and confidence."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.limits import Limits
from serving.protocol import shown
from serving.refusals import RequestError
from serving.wanted import Wanted, flag

FORMATS = ("text", "alto", "page", "pdf", "overlay")
"""Files that can be asked for, by the words of ``python -m htr pages --formats``."""
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


def _formats(parameters: Mapping[str, object]) -> tuple[str, ...]:
    """Return the formats, from a list or, as V2's parameters know no lists, from words with commas between."""
    value = parameters.get("formats", [])
    if isinstance(value, str):
        value = value.split(",") if value else []
    if not isinstance(value, list) or not all(isinstance(one, str) and one in FORMATS for one in value):
        raise RequestError(f"parameters.formats: expected some of {list(FORMATS)}, got {shown(value)}")
    return tuple(one for one in FORMATS if one in value)
