"""Figures of a new champion and of the one before it in, whether it does worse out."""

from dataclasses import dataclass

from monitoring.governor.events import Figures
from monitoring.governor.policy import WatchPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How a new champion does."""

    worse: tuple[str, ...] = ()
    """What got worse by more than its margin, with both figures."""
    remark: str = ""
    """What is to be said where nothing did."""


def compare(now: Figures, before: Figures, margins: WatchPolicy) -> Comparison:
    """Compare a new champion with the one before; what could not be measured of either counts for nothing.

    Args:
        now: of the new champion, since it serves.
        before: of the champion before, while it served.
        margins: by how much each may be worse.
    """
    fewest = min(now.readings, before.readings)
    if fewest < margins.min_readings:
        return Comparison(remark=f"{fewest:.0f} readings of {margins.min_readings} to judge by")
    limits = {
        "doubt": (now.doubt, before.doubt, margins.doubt),
        "error rate": (now.error_rate, before.error_rate, margins.error_rate),
        "latency": (now.latency, before.latency, margins.latency * (before.latency or 0.0)),
        "measured CER": (now.cer, before.cer, margins.cer),
    }
    worse, alike = [], []
    for name, (new, old, margin) in limits.items():
        if new is None or old is None:
            continue
        told = f"{name} {new:.3g} after {old:.3g}"
        if new > old + margin:
            worse.append(f"{told}, {margin:.3g} more would be let be")
        else:
            alike.append(told)
    return Comparison(worse=tuple(worse), remark=", ".join(alike) or "nothing could be measured of both")
