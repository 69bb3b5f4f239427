"""What a telling of the story is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a telling is about."""

    hand: str
    """Source of the lines that arrive later."""
    seed: int
    budget: int
    """Lines shown in the first training."""
    base_settings: Mapping[str, Any]
    """More of its settings."""
    retrain_budget: int
    retrain_settings: Mapping[str, Any]
    margin: float
    """The gate's: CER by which the challenger may be worse on the old hands."""
    held_back: float
    """Share of the sampled corrections that only the gate sees."""
    corrections: int
    """Lines that are corrected before a training begins."""
