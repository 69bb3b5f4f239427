"""The parameters of a request: what its answer shall say beyond text, confidence and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from serving.limits import Limits
from serving.refusals import RequestError

NAMED_ALTERNATIVES = 5
"""How many texts a line there are where a V2 request names the output and no number."""
MAX_POSITION = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a request asks for; nothing of it by default. Parameters of other names are KServe's or nobody's."""

    characters: bool = False
    """Where each character stands, and how sure the network was of it."""
    alternatives: int = 0
    """How many texts at most the line may hold, the reading included."""
    partial: bool = False
    """Read what can be read, and say in its place what is wrong with an image that cannot."""
    first_position: int = 0
    """Place of the first image in the request that this one is a part of: what the prediction log counts from."""

    @classmethod
    def parse(cls, parameters: object, limits: Limits) -> "Wanted":
        """Take what is ours from the parameters of a V1 or V2 request.

        Args:
            parameters: what JSON or gRPC held; None is no parameters.
            limits: how many alternatives may be asked for.

        Raises:
            RequestError: they are no object, or one of ours has an impossible value.
        """
        if parameters is None:
            return cls()
        if not isinstance(parameters, Mapping):
            raise RequestError(
                f'parameters: expected an object such as {{"characters": true}}, got {type(parameters).__name__}'
            )
        return cls(
            characters=flag(parameters, "characters"),
            alternatives=_count(parameters, "alternatives", limits.max_alternatives),
            partial=flag(parameters, "partial"),
            first_position=_count(parameters, "first_position", MAX_POSITION),
        )

    def named(self, outputs: Sequence[str]) -> "Wanted":
        """Return the same with what the outputs of a V2 request ask for by their names."""
        return replace(
            self,
            characters=self.characters or "characters" in outputs,
            alternatives=self.alternatives or (NAMED_ALTERNATIVES if "alternatives" in outputs else 0),
            partial=self.partial or "error" in outputs,
        )


def flag(parameters: Mapping[str, object], name: str) -> bool:
    """Return a parameter that is true or false, by default false.

    Raises:
        RequestError: it is neither.
    """
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"parameters.{name}: expected true or false, got {str(value)[:40]!r}")
    return value


def _count(parameters: Mapping[str, object], name: str, most: int) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, float) and value.is_integer():  # 3.0 is an integer to JSON's schemas
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise RequestError(f"parameters.{name}: expected a whole number within 0..{most}, got {str(value)[:40]!r}")
    return value
