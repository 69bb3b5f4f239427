"""Dashboards in a few words: rows of panels, each a title, queries and a unit. `build` writes them for Grafana."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    queries: dict[str, str]
    """Legend -> PromQL; ``{{label}}`` in a legend stands for that label's value."""
    unit: str = "short"
    """Grafana's name of the unit: short, percentunit, s, reqps, ..."""
    kind: str = "timeseries"
    """timeseries, stat or table."""
    width: int = 8
    """Of 24."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One page."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


_SERVED = "quillflow:readings:rate5m"
LOOP = Dashboard(
    uid="quillflow-loop",
    title="Quillflow: the loop",
    panels=(
        Panel(title="Champion", kind="stat", width=6, queries={"version {{version}}": "quillflow_champion_info"}),
        Panel(title="Served by", kind="stat", width=6, queries={"{{model_version}}": "quillflow_model_info"}),
        Panel(
            title="Kill switch, run in flight, champion watched",
            kind="stat",
            width=12,
            queries={
                "kill switch": "quillflow_governor_stopped",
                "run in flight": "quillflow_governor_run_in_flight",
                "run unconfirmed": "quillflow_governor_run_unconfirmed",
                "champion watched": "quillflow_governor_champion_watched",
            },
        ),
        Panel(
            title="Character error rate",
            unit="percentunit",
            queries={
                "measured on audited lines": "quillflow_measured_cer",
                "golden test": "quillflow_expected_cer",
            },
        ),
        Panel(title="Drift", queries={"{{bundle_digest}}": "quillflow_drift"}),
        Panel(title="What asks for a training", queries={"{{kind}}": "quillflow_governor_concerns"}),
        Panel(title="Decisions", queries={"{{choice}}": "increase(quillflow_governor_decisions_total[1h])"}),
        Panel(title="Trainings that ended", queries={"{{result}}": "quillflow_governor_runs_total"}),
        Panel(title="Trainings left", queries={"a {{window}}": "quillflow_governor_budget_left"}),
        Panel(title="Cooldown left", unit="s", queries={"cooldown": "quillflow_governor_cooldown_seconds"}),
        Panel(title="Trainings without a champion in a row", queries={"misses": "quillflow_governor_misses"}),
        Panel(title="Rollbacks", queries={"rollbacks": "quillflow_governor_rollbacks_total"}),
        Panel(
            title="Traffic meant for the canary",
            unit="percentunit",
            queries={"canary": 'quillflow_rollout_weight{arm="canary"} and on () quillflow_rollout_active == 1'},
        ),
        Panel(
            title="Evidence against the canary (logarithm)",
            queries={
                "{{guard}}": "quillflow_rollout_log_evidence",
                "taken back at": "quillflow_rollout_log_evidence_limit",
            },
        ),
        Panel(
            title="Rollout: decisions, and seconds since it looked",
            queries={
                "{{choice}}": 'increase(quillflow_rollout_decisions_total{choice!="hold"}[1h])',
                "since the last look": "(time() - quillflow_rollout_looked_timestamp_seconds) "
                "and on () quillflow_rollout_active == 1",
            },
        ),
    ),
)
SERVING = Dashboard(
    uid="quillflow-serving",
    title="Quillflow: serving",
    panels=(
        Panel(title="Lines read", unit="reqps", queries={"version {{model_version}}": _SERVED}),
        Panel(
            title="Seconds a request",
            unit="s",
            queries={"median": "quillflow:request_seconds:p50_5m", "95 %": "quillflow:request_seconds:p95_5m"},
        ),
        Panel(
            title="Requests refused and failed",
            unit="percentunit",
            queries={
                "failed": "quillflow:request_failures:ratio5m",
                "refused": "quillflow:request_refusals:ratio5m",
            },
        ),
        Panel(
            title="Queue",
            queries={"pending": "quillflow_requests_pending", "most": "quillflow_requests_pending_limit"},
        ),
        Panel(
            title="Mean doubt",
            unit="percentunit",
            queries={"version {{model_version}}": "quillflow:reading_doubt:mean1h"},
        ),
        Panel(
            title="Errors over HTTP",
            unit="reqps",
            queries={"{{status}}": "sum by (status) (rate(quillflow_http_refusals_total[5m]))"},
        ),
        Panel(title="Servers", kind="stat", queries={"{{job}} {{instance}}": "up"}),
    ),
)
DRIFT = Dashboard(
    uid="quillflow-drift",
    title="Quillflow: drift",
    panels=(
        Panel(title="Drift", queries={"{{bundle_digest}}": "quillflow_drift"}),
        Panel(title="Features that drifted", queries={"{{bundle_digest}}": "quillflow_drift_features"}),
        Panel(title="Readings in the window", queries={"readings": "quillflow_drift_window_readings"}),
        Panel(
            title="Estimated character error rate",
            unit="percentunit",
            queries={
                "estimate": "quillflow_estimated_cer",
                "low": "quillflow_estimated_cer_low",
                "high": "quillflow_estimated_cer_high",
                "at evaluation": "quillflow_estimated_cer_reference",
            },
        ),
        Panel(title="p-value", queries={"{{bundle_digest}}": "quillflow_drift_p_value"}),
        Panel(
            title="Since the last check",
            unit="s",
            queries={"age": "time() - quillflow_drift_checked_timestamp_seconds"},
        ),
    ),
)
DATA = Dashboard(
    uid="quillflow-data",
    title="Quillflow: data",
    panels=(
        Panel(
            title="Corrected lines",
            queries={"all": "quillflow_corrections", "not yet learnt from": "quillflow_corrections_fresh"},
        ),
        Panel(title="Lines asked for", queries={"asked for": "quillflow_labelling_wanted"}),
        Panel(title="Request open for", unit="s", queries={"open": "quillflow_labelling_age_seconds"}),
        Panel(title="Audited lines", queries={"{{bundle_digest}}": "quillflow_measured_cer_lines"}),
        Panel(
            title="Images by verdict",
            queries={"{{verdict}}": "sum by (verdict) (increase(quillflow_line_verdicts_total[1h]))"},
        ),
        Panel(
            title="Prediction log",
            queries={
                "written": "rate(quillflow_prediction_log_written_total[5m])",
                "dropped": "rate(quillflow_prediction_log_dropped_total[5m])",
                "disk refused": "rate(quillflow_prediction_log_failures_total[5m])",
                "waiting": "quillflow_prediction_log_waiting",
            },
        ),
    ),
)
ALL = (LOOP, SERVING, DRIFT, DATA)
