"""The rollout's journal in, what Prometheus wants to know of it out. Read only: steps are taken by somebody else.

The guard is a command that a timer calls, so that nobody can scrape it. Who serves metrics anyway, the governor,
follows its journal; what is counted is what the records add up to, and a restart loses nothing.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import get_args

from prometheus_client.core import InfoMetricFamily
from prometheus_client.metrics_core import Metric

from htr.append_log import AppendLog
from htr.errors import DataError
from k8s.cluster.release import digest_of
from monitoring.families import by, counter, gauge
from monitoring.rollout.guards import Finding
from monitoring.rollout.journal import FILE
from monitoring.rollout.records import Choice, Done, Looked, Result, from_json
from monitoring.rollout.state import Phase, State, stages_of


@dataclass(kw_only=True)
class _Sums:
    """What the records add up to, beyond the state."""

    state: State = field(default_factory=State)
    choices: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    findings: tuple[Finding, ...] = ()
    """Of the newest look."""
    looked: datetime | None = None
    decided: datetime | None = None
    """When something else than to wait was last decided."""


class RolloutMetrics:
    """Collects them; from any thread.

    Args:
        folder: the rollout's state folder; it may come to be later.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._log = AppendLog(self._file, take=self._take, forget=self._forget)
        self._sums = _Sums()
        self._mutex = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Return all metrics; nothing but zeros before the first rollout.

        Raises:
            DataError: the journal cannot be read, is damaged, or is of another format version.
        """
        with self._mutex:
            try:
                with self._log.reading():
                    pass
            except FileNotFoundError:
                pass
            except OSError as error:
                raise DataError(f"{self._file}: cannot be read ({error.strerror})") from error
            yield from _metrics(self._sums)

    def _take(self, line: bytes, _place: int) -> None:
        record, sums = from_json(line), self._sums
        sums.state.apply(record)
        match record.event:
            case Looked():
                sums.choices[record.event.choice] += 1
                sums.findings, sums.looked = record.event.findings, record.time
                if record.event.choice != "hold":
                    sums.decided = record.time
            case Done() if not sums.state.is_active and sums.state.rollout is not None:
                result, _ = sums.state.results[digest_of(sums.state.rollout.canary_uri)]
                sums.results[result] += 1

    def _forget(self) -> None:
        self._sums = _Sums()


def _metrics(sums: _Sums) -> Iterator[Metric]:
    state = sums.state
    judged = sums.findings if state.phase == "judging" else ()
    info = InfoMetricFamily("quillflow_rollout", "The newest rollout.")
    if state.rollout is not None:
        stable, canary = (
            f"sha256:{digest_of(uri)}" for uri in (state.rollout.stable_uri, state.rollout.canary_uri)
        )
        info.add_metric([], {"id": state.rollout.id, "stable_digest": stable, "canary_digest": canary})
    yield info
    weights = {"stable": state.weights.stable / 100, "canary": state.weights.canary / 100}
    phases = {name: name == state.phase for name in get_args(Phase)}
    for name, told, value in (
        ("active", "1: a rollout is under way.", state.is_active),
        ("stage", "The stage at which the canary is compared, from 1; 0 before the first.", state.stage + 1),
        ("stages", "Stages that its policy has.", len(stages_of(state.policy))),
        ("mirrored", "1: the canary gets copies only.", state.weights.mirrored),
        ("pending", "1: something was decided and is not done yet.", state.pending is not None),
        ("away_looks", "Looks in a row at which the canary did not answer.", state.num_away),
        ("log_evidence_limit", "Logarithm of the evidence that takes the canary back.", state.policy.log_limit),
        ("looked_timestamp_seconds", "When a step last looked; 0 for never.", _seconds(sums.looked)),
        ("decided_timestamp_seconds", "When a step last decided to do something.", _seconds(sums.decided)),
    ):
        yield gauge(f"quillflow_rollout_{name}", told, float(value))
    yield by("quillflow_rollout_phase", "1 for the phase that it is in.", "phase", phases)
    yield by("quillflow_rollout_weight", "Share of the traffic that each is meant to have.", "arm", weights)
    evidence = {one.guard: one.log_evidence for one in judged}
    yield by("quillflow_rollout_log_evidence", "Logarithm of each guard's e-value.", "guard", evidence)
    left = {one.guard: one.left for one in judged if one.left is not None}
    yield by("quillflow_rollout_margin_left", "How far the plain figure is from its margin.", "guard", left)
    choices = {choice: sums.choices[choice] for choice in get_args(Choice)}
    yield by("quillflow_rollout_decisions", "Decisions at looks.", "choice", choices, total=True)
    results = {result: sums.results[result] for result in get_args(Result)}
    yield by("quillflow_rollout_ends", "Rollouts that ended.", "result", results, total=True)
    yield counter("quillflow_rollout_records", "Records of the journal.", state.seq)


def _seconds(time: datetime | None) -> float:
    return time.timestamp() if time is not None else 0.0
