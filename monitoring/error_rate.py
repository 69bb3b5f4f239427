"""Error rates of recent readings: estimated from their profiles, and measured where people corrected a sample."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatedError:
    """A character error rate that nobody measured."""

    cer: float
    """As a fraction; may exceed 1."""
    interval: tuple[float, float]
    """Where it lies in 90 % of cases like those that the estimate was tried on."""
    reference_cer: float
    """The same estimate for the lines of the reference: what the rate was like at evaluation."""
    harmless: bool
    """The estimate is at most HARMLESS_RISE, relatively, above that of the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredError:
    """A character error rate on lines that were drawn at random and corrected."""

    cer: float
    interval: tuple[float, float]
    """95 %, by bootstrap over lines."""
    lines: int
    characters: int
