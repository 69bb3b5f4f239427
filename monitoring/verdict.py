"""The verdict: what a drift check came to, as a value and as ``drift.json``.

OUT/drift.json   the verdict (`Verdict.to_dict`)
OUT/drift.html   Evidently's page; opens without a network; absent when there were too few rows
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from htr.errors import DataError, OutputError

FORMAT_VERSION = 1
VERDICT = "drift.json"
PAGE = "drift.html"
State = Literal["quiet", "drift", "not_enough"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureDrift:
    """How one feature compares."""

    name: str
    p_value: float
    """Chance of a difference at least this large if nothing had changed, for this feature alone."""
    threshold: float
    """A p-value at or below it counts as drift."""
    drifted: bool
    reference_median: float
    current_median: float

    @property
    def direction(self) -> str:
        """Where the values went, in words."""
        if self.current_median == self.reference_median:
            return "same median, other spread" if self.drifted else "same median"
        return "higher" if self.current_median > self.reference_median else "lower"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a comparison came to."""

    state: State
    rows: int
    """Readings compared."""
    rows_wanting: int
    """How many more readings a verdict needs; 0 unless the state is ``not_enough``."""
    reference_rows: int
    min_rows: int
    alpha: float
    """Bound on the share of false alarms among checks of windows that did not drift."""
    since: datetime | None
    """Time of the oldest reading compared, where the rows have times."""
    until: datetime | None
    bundle_digest: str
    """The model that the verdict is about, or "" where the rows name none or several."""
    features: tuple[FeatureDrift, ...]
    """Most surprising first; empty when there were not enough rows."""

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that drifted."""
        return tuple(feature for feature in self.features if feature.drifted)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``drift.json`` holds."""
        features = [{**asdict(feature), "direction": feature.direction} for feature in self.features]
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in ("since", "until")}
        return {"format_version": FORMAT_VERSION, **asdict(self), **times, "features": features}


def write_verdict(verdict: Verdict, out: Path, page: str | None) -> None:
    """Write verdict and page; each is whole before either gets its name.

    Args:
        verdict: what to say.
        out: the folder; made when missing, and what an earlier check left there is replaced.
        page: Evidently's HTML, or None to leave no page of an earlier check beside this verdict.

    Raises:
        OutputError: the folder cannot be written.
    """
    # The verdict comes last: whoever sees it finds its own page beside it.
    texts = {PAGE: page, VERDICT: json.dumps(verdict.to_dict(), indent=2) + "\n"}
    partials = {name: out / f".{name}.partial" for name in texts}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partials[name].write_text(text or "", encoding="utf-8")
        for name, text in texts.items():
            if text is None:
                (out / name).unlink(missing_ok=True)
            else:
                partials[name].replace(out / name)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from error
    finally:
        if out.is_dir():
            for partial in partials.values():
                partial.unlink(missing_ok=True)


def read_verdict(file: Path) -> Mapping[str, Any]:
    """Read a ``drift.json``.

    Raises:
        DataError: missing, damaged, or of another format version.
    """
    remedy = "make one with: python -m monitoring check"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        version, state = found["format_version"], found["state"]
        missing = [name for name in Verdict.__dataclass_fields__ if name not in found]
        drifted = [feature["name"] for feature in found["features"] if feature["drifted"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not a drift verdict ({error!r}); {remedy}") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{file}: format version {version}, this program reads {FORMAT_VERSION}; check again")
    if missing or (state == "drift") != bool(drifted):
        raise DataError(f"{file}: lacks {missing} or contradicts itself (state {state!r}, {drifted}); {remedy}")
    return dict(found)
