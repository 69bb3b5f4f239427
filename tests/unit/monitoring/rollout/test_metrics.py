"""What Prometheus is told of a rollout is what its journal says, step by step."""

from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.governor.metrics import GovernorMetrics
from monitoring.rollout.metrics import RolloutMetrics
from monitoring.rollout.policy import Policy
from tests.governor import FolderCluster, make_governor
from tests.kubernetes_api import KubernetesApi
from tests.rollout import Traits, World

QUICK = Policy(steps=(5, 50), min_minutes=0.0, min_requests=50)


def read(metrics: RolloutMetrics) -> dict[str, float]:
    """Return every series as Prometheus would read it, ``name{value of its label}``."""
    families = text_string_to_metric_families(generate_latest(metrics).decode())  # type: ignore[arg-type]
    samples = [one for family in families for one in family.samples]
    return {
        one.name.removeprefix("quillflow_rollout_")
        + "".join(f"{{{value}}}" for value in one.labels.values()): one.value
        for one in samples
    }


def test_before_the_first_rollout_all_is_nought(tmp_path: Path) -> None:
    found = read(RolloutMetrics(tmp_path / "none"))
    assert (found["active"], found["stage"], found["records_total"]) == (0, 0, 0)
    assert found["ends_total{rolled_back}"] == 0, "else its first increase would not be seen"
    assert not (tmp_path / "none").exists()


def test_stage_weights_and_evidence_follow_the_journal_until_the_canary_is_taken_back(
    api: KubernetesApi, tmp_path: Path
) -> None:
    world = World(api, tmp_path, canary=Traits(doubt=0.30))
    metrics = RolloutMetrics(tmp_path)
    world.do(lambda guard: guard.start(QUICK))
    found = read(metrics)
    assert (found["active"], found["stage"], found["stages"], found["phase{waiting}"]) == (1, 0, 2, 1)
    distances = []
    for _ in range(60):
        journal = world.do(lambda guard: guard.step())
        found = read(metrics)
        if not journal.state.is_active:
            break
        assert found["weight{canary}"] == journal.state.weights.canary / 100
        assert found["phase{judging}"] == 1
        assert found["looked_timestamp_seconds"] == pytest.approx(world.clock.wall.timestamp())
        if "log_evidence{doubt}" in found:
            distances.append(found["log_evidence_limit"] - found["log_evidence{doubt}"])
        world.traffic(500)
    assert min(distances) > 0, "while it is under way, no guard has reached its limit"
    assert distances[-1] < distances[0]
    assert (found["active"], found["phase{ended}"], found["weight{stable}"]) == (0, 1, 1)
    assert found["ends_total{rolled_back}"] == found["decisions_total{roll_back}"] == 1
    assert found["decisions_total{advance}"] >= 1
    assert found["records_total"] == len(journal.records)
    assert read(RolloutMetrics(tmp_path)) == found, "a restart loses nothing"


def test_margins_left_are_what_the_findings_say(api: KubernetesApi, tmp_path: Path) -> None:
    world = World(api, tmp_path, canary=Traits(doubt=0.30))
    world.do(lambda guard: guard.start(Policy(steps=(50,), min_requests=10_000)))
    for _ in range(3):
        journal = world.do(lambda guard: guard.step())
        world.traffic(60)
    looked = journal.records[-1].event
    found = read(RolloutMetrics(tmp_path))
    for finding in looked.findings:  # type: ignore[union-attr]
        if (left := finding.left) is not None:
            assert found[f"margin_left{{{finding.guard}}}"] == pytest.approx(left)
            assert finding.is_within == (left >= 0)
    assert found["margin_left{doubt}"] < 0


def test_a_damaged_journal_is_the_governors_trouble_and_not_its_end(api: KubernetesApi, tmp_path: Path) -> None:
    world = World(api, tmp_path / "rollout")
    world.do(lambda guard: guard.start(QUICK))
    world.do(lambda guard: guard.step())
    file = tmp_path / "rollout" / "rollout.jsonl"
    governor = make_governor(tmp_path / "state", FolderCluster(tmp_path / "cluster"))
    others = {"rollout": RolloutMetrics(file.parent)}
    assert b"quillflow_rollout_active 1.0" in GovernorMetrics(governor=governor, others=others).text()
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first.replace(b'"started"', b'"STARTED"') + b"".join(rest))
    text = GovernorMetrics(governor=governor, others={"rollout": RolloutMetrics(file.parent)}).text()
    assert b'quillflow_governor_trouble{part="rollout"} 1.0' in text
    assert b"quillflow_governor_records_total" in text
