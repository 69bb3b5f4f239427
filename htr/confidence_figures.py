"""Read lines in, the figures about their confidence out, as the report, its page and the metrics show them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from htr.confidence import (
    NUM_BINS,
    TARGET_CER,
    Bin,
    CalibrationError,
    RejectCurve,
    calibration_error,
    reject_curve,
    reliability,
    share_interval,
)
from htr.evaluate import ReadLine

_NUM_POINTS = 101
"""Of the reject curve in the report: one for every percent of lines checked, or the next possible share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """A confidence that was chosen on other lines, and what it does on these."""

    accept_at: float
    """Readings of at least this confidence are taken as they are; infinity accepts none."""
    checked_share: float
    """Share of the lines below it, 0..1."""
    rest_cer: float
    """CER of those at or above it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceFigures:
    """What the confidence of some lines is worth.

    A line that could not be decoded has no confidence: it does not count for calibration, and is checked first.
    """

    lines: int
    """Lines with a confidence."""
    bins: list[Bin]
    error: CalibrationError
    curve: RejectCurve
    target_cer: float
    checked_share: float
    """Smallest share to check, the least confident lines first, so that the rest has the target."""
    checked_interval: tuple[float, float]
    """Its 95 % bootstrap interval over lines."""
    checked_share_of_whole: float
    """The same so that all lines together have the target, the checked ones put right."""
    threshold: Threshold | None
    """Chosen on the validation lines for the same target; None without such lines."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as the report holds them; an infinite threshold, which accepts nothing, as None."""
        places = np.searchsorted(self.curve.checked, np.linspace(0, 1, _NUM_POINTS)).tolist()
        return {
            "lines": self.lines,
            "ece": self.error.ece,
            "ece_interval": self.error.interval,
            "ece_by_chance": self.error.by_chance,
            "ece_chance_limit": self.error.chance_limit,
            "ece_binning": f"{NUM_BINS} bins of equally many lines",
            "reliability": [asdict(one) for one in self.bins],
            "target_cer": self.target_cer,
            "checked_share": self.checked_share,
            "checked_share_interval": self.checked_interval,
            "checked_share_of_whole": self.checked_share_of_whole,
            "threshold": None
            if self.threshold is None
            else {
                "accept_at": self.threshold.accept_at if math.isfinite(self.threshold.accept_at) else None,
                "checked_share": self.threshold.checked_share,
                "rest_cer": self.threshold.rest_cer,
            },
            "reject_curve": {
                "checked_share": [float(self.curve.checked[place]) for place in places],
                "rest_cer": [float(self.curve.rest_cer[place]) for place in places],
                "whole_cer": [float(self.curve.whole_cer[place]) for place in places],
            },
        }


def confidence_figures(
    lines: Sequence[ReadLine], validation: Sequence[ReadLine] = (), *, target_cer: float = TARGET_CER
) -> ConfidenceFigures:
    """Judge the confidences of some lines.

    Args:
        lines: with confidence and errors.
        validation: other lines, on which a threshold is chosen.
        target_cer: what the lines that nobody checks may have.
    """
    known = [line for line in lines if line.profile is not None]
    confidences, right = [line.confidence for line in known], [line.right for line in known]
    curve = _curve(lines)
    threshold = None
    if validation:
        chosen = _curve(validation)
        accept_at = float(chosen.accept_at[chosen.first(target_cer)])
        checked, rest_cer = curve.at_threshold(accept_at)
        threshold = Threshold(accept_at=accept_at, checked_share=checked, rest_cer=rest_cer)
    return ConfidenceFigures(
        lines=len(known),
        bins=reliability(confidences, right),
        error=calibration_error(confidences, right),
        curve=curve,
        target_cer=target_cer,
        checked_share=curve.share(target_cer),
        checked_interval=share_interval(*_columns(lines), target_cer=target_cer),
        checked_share_of_whole=curve.share_of_whole(target_cer),
        threshold=threshold,
    )


def _curve(lines: Sequence[ReadLine]) -> RejectCurve:
    return reject_curve(*_columns(lines))


def _columns(lines: Sequence[ReadLine]) -> tuple[list[float], list[int], list[int]]:
    return (
        [line.confidence if line.profile is not None else -1.0 for line in lines],
        [line.errors.edits for line in lines],
        [line.errors.characters for line in lines],
    )
