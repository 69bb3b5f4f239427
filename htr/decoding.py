"""How a bundle turns class scores into text: the ``decoding`` field of ``bundle.json``.

A bundle without that field is read by best path.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NGRAM = "ngram.npz"
"""Bundle file of the character language model."""
LEXICON = "lexicon.txt"
"""Bundle file of the known words."""
MAX_BEAM = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """Settings of the prefix beam search; `htr.tuning` finds the weights on validation lines."""

    method: str = "beam"
    """The only one that needs settings; best path is the absence of them."""
    beam: int = 12
    """Prefixes that are kept at every step."""
    min_probability: float = 1e-2
    """Classes below it at a step are not followed there, 0..1; the best class always is."""
    ngram_weight: float = 0.0
    """Exponent of the language model's probability, 0 and up; 0 does without it."""
    insertion_bonus: float = 0.0
    """Added to the log score for every character: a language model alone prefers short texts."""
    lexicon_penalty: float = 0.0
    """Taken off the log score for every finished word outside the lexicon; such words are never forbidden."""

    def __post_init__(self) -> None:
        if self.method != "beam":
            raise ValueError(f"Decoding.method must be 'beam', got {self.method!r}")
        bounds = {
            "beam": (1, MAX_BEAM),
            "min_probability": (0.0, 0.5),
            "ngram_weight": (0.0, 100.0),
            "insertion_bonus": (-100.0, 100.0),
            "lexicon_penalty": (0.0, 100.0),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, str) or not low <= value <= high:
                raise ValueError(f"Decoding.{name} must be within {low}..{high}, got {value!r}")

    def files(self) -> tuple[str, ...]:
        """Return the bundle files that the search asks."""
        asked = ((NGRAM, self.ngram_weight), (LEXICON, self.lexicon_penalty))
        return tuple(name for name, weight in asked if weight)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> "Decoding | None":
        """Rebuild what `to_dict` wrote; None, best path, where there is nothing.

        Raises:
            TypeError: a field is unknown.
            ValueError: a field has an impossible value.
        """
        return None if values is None else cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)
