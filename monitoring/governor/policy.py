"""The policy: a small TOML file that says when the governor trains. What it leaves out has the default below.

version = 1
policy = "labels_first"

[alerts]
HandwritingDrift = "drift"
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from monitoring.toml_policy import check, policy_of, read_toml, typed

VERSION = 1
Mode = Literal["labels_first", "retrain_at_once"]
Kind = Literal["drift", "degraded"]
HOUR_S = 3600.0
_ALERTS: Mapping[str, Kind] = MappingProxyType(
    {"HandwritingDrift": "drift", "MeasuredErrorHigh": "degraded", "EstimatedErrorHigh": "drift"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchPolicy:
    """When a promotion is taken back."""

    hours: float = 24.0
    """How long a new champion is watched; 0 watches none."""
    min_readings: int = 200
    """Fewer readings of either champion judge nothing."""
    doubt: float = 0.05
    """How much the mean doubt (one minus confidence) may rise, absolute."""
    error_rate: float = 0.02
    """How much the share of requests that failed inside may rise, absolute."""
    latency: float = 0.5
    """How much the 95th percentile of the seconds a request takes may rise, relative."""
    cer: float = 0.02
    """How much the CER measured on audited lines may rise, absolute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When to train.

    Raises:
        ValueError: a value makes no sense; the text names it.
    """

    policy: Mode = "labels_first"
    """``labels_first``: an alarm opens a labelling request, and lines start the training. ``retrain_at_once``: an
    alarm starts it, for those whose labels flow into the training lines by themselves."""
    min_lines: int = 128
    """Corrected lines that no training had yet; so many start one."""
    min_lines_degraded: int = 32
    """As many are enough where the measured error rate has degraded."""
    cooldown_hours: float = 12.0
    """From the end of a training to the next one."""
    backoff: float = 2.0
    """The cooldown grows by this factor with every training in a row that brought no champion."""
    max_cooldown_hours: float = 168.0
    max_runs_day: int = 2
    """Trainings within any 24 hours."""
    max_runs_week: int = 4
    """Trainings within any 7 days."""
    max_attempts: int = 2
    """How often the same training may be begun when it fails for reasons of its own."""
    give_up_hours: float = 6.0
    """How long a start that nobody confirmed is tried again."""
    settle_s: float = 60.0
    """How long after an unconfirmed start the next try waits: the first may still come to be."""
    alerts: Mapping[str, Kind] = field(default_factory=lambda: dict(_ALERTS))
    """Name of an alert -> what it says. Alerts of other names are ignored."""
    watch: WatchPolicy = field(default_factory=WatchPolicy)

    def __post_init__(self) -> None:
        check(self.policy in get_args(Mode), "policy", f"one of {', '.join(get_args(Mode))}", self.policy)
        for name in ("min_lines", "min_lines_degraded", "max_runs_day", "max_runs_week", "max_attempts"):
            check(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        for name in ("cooldown_hours", "max_cooldown_hours", "settle_s"):
            check(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        check(self.give_up_hours > 0, "give_up_hours", "more than 0", self.give_up_hours)
        check(self.backoff >= 1, "backoff", "1 or more", self.backoff)
        for name, kind in self.alerts.items():
            check(kind in get_args(Kind), f"alerts.{name}", f"one of {', '.join(get_args(Kind))}", kind)
        for spec in fields(WatchPolicy):
            value = getattr(self.watch, spec.name)
            check(value >= 0, f"watch.{spec.name}", "0 or more", value)

    def to_dict(self) -> dict[str, Any]:
        """Return what a policy file would hold."""
        return {"version": VERSION, **asdict(self)}

    @property
    def digest(self) -> str:
        """SHA-256 of all values, those by default included."""
        return "sha256:" + hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def read_policy(file: Path | None) -> Policy:
    """Read a policy file; None gives the default policy.

    Raises:
        SettingsError: missing, no TOML, of another version, or with a name or value that is not known.
    """
    return Policy() if file is None else policy_from(read_toml(file), where=str(file))


def policy_from(values: Mapping[str, Any], *, where: str) -> Policy:
    """Return the policy that a file's values stand for.

    Args:
        values: as `Policy.to_dict` returns them; whatever is left out has its default.
        where: the file, for messages.

    Raises:
        SettingsError: see `read_policy`.
    """
    return policy_of(values, _made, version=VERSION, where=where)


def _made(given: dict[str, Any]) -> Policy:
    if "watch" in given:
        given["watch"] = WatchPolicy(**typed(WatchPolicy(), given["watch"], "watch."))
    return Policy(**typed(Policy(), given))
