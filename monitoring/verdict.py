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
from monitoring.error_rate import EstimatedError, MeasuredError

FORMAT_VERSION = 3
READABLE = (1, 2, 3)
"""Version 1 had a p-value for every feature and nothing else that a retraining asks for; version 2 took every
estimate for one to go by."""
VERDICT = "drift.json"
PAGE = "drift.html"
EMBEDDING_NAME = "embedding"
"""Stands among the features for what the network's encoder makes of the lines."""
State = Literal["quiet", "drift", "not_enough"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureDrift:
    """How one feature compares."""

    name: str
    p_value: float
    """Chance that the most surprising of all features differs as much if nothing had changed."""
    threshold: float
    """A p-value at or below it counts as drift."""
    drifted: bool
    shift: float
    """How far the values moved: the chance that a recent one is higher than one of the reference, minus the chance
    that it is lower; -1..1. Of the embedding: how much farther from the reference's middle rows lie."""
    reference_median: float
    current_median: float

    @property
    def direction(self) -> str:
        """Where the values went, in words."""
        if abs(self.shift) < 0.05:
            return "same place, other spread" if self.drifted else "same place"
        return "higher" if self.shift > 0 else "lower"


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A reading that is least like the reference, in the way the window drifted."""

    request_id: str
    position: int
    time: datetime
    feature: str
    """What is strangest about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """Whether several windows agree; see `monitoring.sequence`."""

    raised: bool
    drifted_windows: int
    """Of the windows that were looked at, this one included."""
    windows: int
    needed: int
    """This many of ``of`` windows make an alert."""
    of: int


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
    """Most surprising first, the embedding among them; empty when there were not enough rows."""
    p_value: float | None = None
    """Of the whole comparison; at most alpha is drift. None when there were not enough rows."""
    tested_rows: int = 0
    """Readings that the test took: all of them, or a sample of very many."""
    shuffled: Literal["rows", "groups"] = "rows"
    """What the test takes for independent: single rows, or all rows of a request and all of a page."""
    groups: int = 0
    """Requests in the window."""
    as_sent: tuple[FeatureDrift, ...] = ()
    """Size and grey levels of the images as they were sent. They are told and raise no alarm: scaling and
    stretching take them away before the network sees a line."""
    changed_since: datetime | None = None
    """When, within a window that drifted, the change began; None where it looks the same throughout."""
    examples: tuple[Example, ...] = ()
    estimated: EstimatedError | None = None
    """Character error rate without labels, where the model brings what estimates it."""
    measured: MeasuredError | None = None
    """Character error rate on a random sample of lines that people corrected."""
    alert: Alert | None = None
    """None where no history of windows is kept."""

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that drifted."""
        return tuple(feature for feature in self.features if feature.drifted)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``drift.json`` holds."""
        lists = {
            name: [{**asdict(feature), "direction": feature.direction} for feature in getattr(self, name)]
            for name in ("features", "as_sent")
        }
        times = {
            name: at.isoformat() if (at := getattr(self, name)) else None
            for name in ("since", "until", "changed_since")
        }
        examples = [{**asdict(example), "time": example.time.isoformat()} for example in self.examples]
        return {"format_version": FORMAT_VERSION, **asdict(self), **times, **lists, "examples": examples}


_FIRST_VERSION = tuple(Verdict.__dataclass_fields__)[: tuple(Verdict.__dataclass_fields__).index("p_value")]


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
        wanted = _FIRST_VERSION if version == 1 else tuple(Verdict.__dataclass_fields__)
        missing = [name for name in wanted if name not in found]
        drifted = [feature["name"] for feature in found["features"] if feature["drifted"]]
    except OSError as error:
        raise DataError(f"{file}: no drift verdict there ({error.strerror}); {remedy}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not a drift verdict ({error!r}); {remedy}") from error
    if version not in READABLE:
        raise DataError(f"{file}: format version {version}, this program reads {READABLE}; check again")
    if missing or (state == "drift") != bool(drifted):
        raise DataError(f"{file}: lacks {missing} or contradicts itself (state {state!r}, {drifted}); {remedy}")
    return dict(found)
