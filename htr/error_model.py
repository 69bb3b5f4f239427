"""The error model: profile rows in, an estimate of their character error rate out. No label, no platform.

A logistic curve over a few features of how sure the network was and what kind of text came out. It is fitted at
evaluation (`htr.error_fit`) and kept in the bundle as ``error_model.json``: numbers and nothing else, with how far
it was off on lines of kinds that it was not fitted on.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from htr.errors import BundleError
from htr.profile import PROFILE_VERSION

FORMAT_VERSION = 1
CEILING = 1.3
"""Largest rate that is estimated: letters that are read where none stand can make it exceed 1."""
COVERAGE_Z = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""

Values = npt.NDArray[np.floating]

TRANSFORMS: Mapping[str, Callable[[Values], Values]] = {
    "mean_char_prob": lambda x: np.log(1.02 - x),
    "text_log_prob": lambda x: np.log(0.02 - np.minimum(x, 0)),
    "entropy": lambda x: np.log(0.01 + x),
    "min_char_prob": lambda x: x,
    "surprise": lambda x: x,
    "characters_per_height": lambda x: x,
    "space_share": lambda x: x,
}
"""What is asked of a profile row, and how it is bent before it is weighed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """What one feature adds to the log-odds of an error."""

    feature: str
    lowest: float
    """Values below it count as it: the curve is known between the two only."""
    highest: float
    mean: float
    scale: float
    slope: float
    curve: float
    """Of the square, less 1."""

    def __call__(self, values: Values) -> Values:
        """Return the addends of bent values."""
        standard = (np.clip(values, self.lowest, self.highest) - self.mean) / self.scale
        return np.asarray(self.slope * standard + self.curve * (standard**2 - 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Lines of a kind that a trial fit did not see."""

    name: str
    lines: int
    estimated: float
    measured: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorModel:
    """The fitted curve."""

    offset: float
    terms: tuple[Term, ...]
    spread: float
    """Root mean square of how far the cases' log-odds were off."""
    cases: tuple[Case, ...]
    """What ``spread`` was measured on."""
    fitted_rows: int
    """Readings that it was fitted on, those of spoilt lines included."""

    def rates(self, columns: Mapping[str, Values]) -> Values:
        """Return the expected error rate of every row.

        Args:
            columns: profile columns; those of TRANSFORMS are asked for.
        """
        odds = np.full(len(columns["entropy"]), self.offset)
        for term in self.terms:
            odds += term(TRANSFORMS[term.feature](np.asarray(columns[term.feature], np.float64)))
        return np.asarray(CEILING / (1 + np.exp(-odds)))

    def cer(self, columns: Mapping[str, Values]) -> float:
        """Return the estimated character error rate of all rows together; they must not be none."""
        return weighted(self.rates(columns), columns)

    def outside(self, columns: Mapping[str, Values]) -> float:
        """Return the share of rows with a feature beyond what the curve is known for, 0..1; there it is flat."""
        beyond = np.zeros(len(columns["entropy"]), bool)
        for term in self.terms:
            values = TRANSFORMS[term.feature](np.asarray(columns[term.feature], np.float64))
            beyond |= (values < term.lowest) | (values > term.highest)
        return float(beyond.mean()) if len(beyond) else 0.0

    def interval(self, cer: float) -> tuple[float, float]:
        """Return where the true rate lies in 90 % of cases like those that the model was tried on."""
        odds, width = log_odds(cer), COVERAGE_Z * self.spread
        low, high = (CEILING / (1 + math.exp(-o)) for o in (odds - width, odds + width))
        return low, high

    def to_bytes(self) -> bytes:
        """Return the content of ``error_model.json``."""
        content = {"format_version": FORMAT_VERSION, "profile_version": PROFILE_VERSION, **asdict(self)}
        return json.dumps(content, indent=1).encode()

    @classmethod
    def load(cls, path: Path) -> "ErrorModel":
        """Load what `to_bytes` wrote.

        Raises:
            BundleError: missing, damaged, or of another version.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            versions = raw["format_version"], raw["profile_version"]
            if versions != (FORMAT_VERSION, PROFILE_VERSION):
                raise ValueError(  # noqa: TRY301 - one message for all of them
                    f"versions {versions} of format and profile, expected {(FORMAT_VERSION, PROFILE_VERSION)}"
                )
            terms = tuple(Term(**term) for term in raw["terms"])
            if unknown := {term.feature for term in terms} - set(TRANSFORMS):
                raise ValueError(f"unknown features {sorted(unknown)}")  # noqa: TRY301 - as above
            return cls(
                offset=float(raw["offset"]),
                terms=terms,
                spread=float(raw["spread"]),
                cases=tuple(Case(**case) for case in raw["cases"]),
                fitted_rows=int(raw["fitted_rows"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path}: not an error model ({error!r}); evaluate the model again") from error


def weighted(rates: Values, columns: Mapping[str, Values]) -> float:
    """Return the rate of all lines together: each counts as long as it was read, for want of its true length."""
    return float(np.average(rates, weights=np.asarray(columns["num_characters"], np.float64) + 1))


def log_odds(cer: float) -> float:
    """Return the log-odds of a rate within 0..CEILING; the ends are moved in a little."""
    share = min(max(cer / CEILING, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))
