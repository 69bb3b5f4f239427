"""The governor's metrics in Prometheus' text format: what it knows, what the newest verdict and the audit say.

Every value is read when Prometheus asks; nothing is counted on the side that a restart would lose, but for events
that had been answered before.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from htr.errors import DataError
from monitoring.families import Collector, by, counter, gauge
from monitoring.governor.audit import Audit
from monitoring.governor.governor import Governor
from monitoring.governor.policy import Policy
from monitoring.governor.rules import cooldown_s, is_watched
from monitoring.governor.state import DAY_S, State
from monitoring.verdict import read_verdict

KINDS = ("person", "degraded", "drift", "schedule")
RESULTS = ("promoted", "rejected", "failed")
CHOICES = ("ignore", "ask_for_labels", "wait", "train", "roll_back", "note")


@dataclass(frozen=True, kw_only=True)
class GovernorMetrics:
    """Collects them."""

    governor: Governor
    verdict: Path | None = None
    """The newest ``drift.json``."""
    audit: Audit | None = None
    others: Mapping[str, Collector] = field(default_factory=dict)
    """What else is told on this page, by name: the rollout's metrics, where one is followed."""

    def text(self) -> bytes:
        """Return all metrics as text."""
        return bytes(generate_latest(self))  # collect() is all that it asks for

    def collect(self) -> Iterator[Metric]:
        """Return all metrics; what cannot be read is left out, and counted among the troubles."""
        troubles = dict(self.governor.troubles)
        found: list[Metric] = []
        parts = {"verdict": self._verdict, "audit": self._audit}
        for name, part in {**parts, **{name: other.collect for name, other in self.others.items()}}.items():
            try:
                found += part()
            except DataError as error:
                troubles[name] = str(error)
        with self.governor.reading():
            found += state_metrics(self.governor.state, self.governor.policy, self.governor.at())
        yield from found
        yield counter(
            "quillflow_governor_known_events", "Events that had been answered before.", self.governor.num_known
        )
        age = self.governor.at() - self.governor.last_turn_s
        yield gauge("quillflow_governor_turn_age_seconds", "Seconds since the governor last took a turn.", age)
        yield by(
            "quillflow_governor_trouble", "1: this part does not work now.", "part", dict.fromkeys(troubles, 1)
        )

    def _verdict(self) -> list[Metric]:
        if self.verdict is None or not self.verdict.exists():
            return []
        return verdict_metrics(read_verdict(self.verdict), self.verdict.stat().st_mtime)

    def _audit(self) -> list[Metric]:
        if self.audit is None:
            return []
        measured = self.audit.measure()
        cer = {digest: errors.cer for digest, errors in measured.items()}
        lines = {digest: errors.lines for digest, errors in measured.items()}
        return [
            by("quillflow_measured_cer", "Share of characters misread, on audited lines.", "bundle_digest", cer),
            by("quillflow_measured_cer_lines", "Audited lines behind it.", "bundle_digest", lines),
        ]


def state_metrics(state: State, policy: Policy, at: float) -> list[Metric]:
    """Return what the journal adds up to."""
    kinds = Counter[str](concern.kind for concern in state.concerns.values())
    results = Counter[str](state.results.values())
    day = sum(start > at - DAY_S for start in state.starts)
    left = {"day": policy.max_runs_day - day, "week": policy.max_runs_week - len(state.starts)}
    cooldown = 0.0
    if state.last_end is not None:
        cooldown = max(0.0, state.last_end + cooldown_s(state, policy) - at)
    info = InfoMetricFamily("quillflow_champion", "The model that the registry calls champion.")
    if state.champion is not None:
        info.add_metric([], {"version": state.champion.version, "bundle_digest": state.champion.digest})
    expected = {}
    if state.champion is not None and state.champion.cer is not None:
        expected[state.champion.digest] = state.champion.cer
    asked = state.labelling.wanted if state.labelling else 0
    gauges = {
        "governor_run_in_flight": ("1: a training was decided on and has not ended.", state.run is not None),
        "governor_run_unconfirmed": (
            "1: a training was asked for and nobody confirmed it.",
            state.run is not None and state.run.num_attempts > 0 and not state.run.run_id,
        ),
        "governor_stopped": ("1: the kill switch is on.", state.stopped),
        "governor_misses": ("Trainings in a row that brought no champion.", state.misses),
        "governor_cooldown_seconds": ("Seconds of cooldown left.", cooldown),
        "governor_champion_watched": ("1: the champion may be rolled back.", is_watched(state, policy, at)),
        "corrections": ("Corrected lines.", state.labels.count if state.labels else 0),
        "corrections_fresh": ("Corrected lines that no training had yet.", state.fresh),
        "labelling_wanted": ("Lines that the open labelling request asks for.", asked),
        "labelling_age_seconds": ("How long it is open.", at - state.labelling.at if state.labelling else 0),
    }
    return [
        info,
        by(
            "quillflow_expected_cer",
            "Golden CER that the champion was registered with.",
            "bundle_digest",
            expected,
        ),
        *(gauge(f"quillflow_{name}", told, float(value)) for name, (told, value) in gauges.items()),
        counter("quillflow_governor_records", "Records of the journal.", state.seq),
        counter("quillflow_governor_rollbacks", "Champions that lost the alias.", state.num_rollbacks),
        by(
            "quillflow_governor_decisions",
            "Decisions.",
            "choice",
            {c: state.choices[c] for c in CHOICES},
            total=True,
        ),
        by(
            "quillflow_governor_runs",
            "Trainings that ended.",
            "result",
            {r: results[r] for r in RESULTS},
            total=True,
        ),
        by("quillflow_governor_concerns", "What asks for a training now.", "kind", {k: kinds[k] for k in KINDS}),
        by("quillflow_governor_budget_left", "Trainings that may still be begun.", "window", left),
    ]


def verdict_metrics(verdict: Mapping[str, Any], written: float) -> list[Metric]:
    """Return what a drift verdict says.

    Args:
        verdict: as in ``drift.json``.
        written: when, in seconds since 1970.
    """
    digest = verdict["bundle_digest"]
    alert, estimated = verdict.get("alert"), verdict.get("estimated")
    has_drifted = alert["raised"] if alert is not None else verdict["state"] == "drift"
    drifted = sum(bool(feature["drifted"]) for feature in verdict["features"])
    until = datetime.fromisoformat(verdict["until"]).timestamp() if verdict["until"] else written
    values = {
        "drift": ("1: the readings have drifted from the model's reference.", has_drifted),
        "drift_features": ("Features that drifted.", drifted),
        "drift_window_readings": ("Readings that the verdict rests on.", verdict["rows"]),
        "drift_undecided": ("1: there were too few readings.", verdict["state"] == "not_enough"),
        "drift_checked_timestamp_seconds": ("When the verdict was written.", written),
        "drift_until_timestamp_seconds": ("Time of the newest reading in it.", until),
    }
    if verdict.get("p_value") is not None:
        told = "Chance that the readings differ as much if nothing had changed."
        values["drift_p_value"] = (told, verdict["p_value"])
    if estimated is not None:
        unknown = bool(estimated.get("cannot_tell"))
        told = "1: the error rate without labels cannot be told, and the figures of it are left out."
        values["estimated_cer_unknown"] = (told, unknown)
    if estimated is not None and not unknown:  # an alert must not rest on what nobody can tell
        low, high = estimated["interval"]
        told = "Share of characters misread, estimated without labels"
        values["estimated_cer"] = (f"{told}.", estimated["cer"])
        values["estimated_cer_low"] = (f"{told}: lower end of 90 %.", low)
        values["estimated_cer_high"] = (f"{told}: upper end of 90 %.", high)
        values["estimated_cer_reference"] = (f"{told}, at evaluation.", estimated["reference_cer"])
    return [by(f"quillflow_{n}", told, "bundle_digest", {digest: v}) for n, (told, v) in values.items()]
