"""The search's steps and the pruned search, with the record that they leave in MLflow."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from components.search.collect import collect_trials
from components.search.plan import plan_trials
from components.search.recorded import search_recorded
from components.train.tried import train_trial
from htr.errors import DataError, SettingsError
from htr.lines import LinesDataset
from htr.search.space import points, space_for
from htr.search.trial import COMPLETE, DIVERGED, Trial
from htr.settings import training_config
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.servers import ModelRegistry

FIXED = {"model": {"height": 16.0, "channels": [4.0, 4.0, 8.0, 8.0], "width": 8.0}, "accelerator": "cpu"}
PARENT = "mlflow.parentRunId"
pytestmark = pytest.mark.usefixtures("mlflow_alone")


@pytest.fixture
def store(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    drawn = [make_line(("one", "one two")[n % 2], n, split="val" if n > 11 else "train") for n in range(16)]
    return write_lines(tmp_path_factory.mktemp("data") / "lines", drawn)


def planned(lines: Path, folder: Path, store: ModelRegistry, **changes: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"settings": FIXED, "trials": 2.0, "max_lines": 24.0, "seed": 1.0, **changes}
    return plan_trials(
        lines, "", folder / "bundle", folder / "run", tracking_uri=store.uri, git_commit="abc", work="", **given
    )


def as_kfp_hands_over(trial: dict[str, Any]) -> dict[str, Any]:
    """Return a trial after a step: every number is a float."""
    found: dict[str, Any] = json.loads(json.dumps(trial), parse_int=float)
    return found


def children(store: ModelRegistry, parent: str) -> list[Any]:
    (experiment,) = [one for one in store.client.search_experiments() if one.name == "quillflow"]
    runs = store.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
    return [run for run in runs if run.data.tags.get(PARENT) == parent]


def test_planned_trials_are_trained_and_collected_in_nested_runs(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path
) -> None:
    plan = planned(lines.path, tmp_path, store)
    assert [trial["sampled"] for trial in plan] == points(space_for(FIXED, has_base=False), 2, seed=1)
    assert not any((tmp_path / "bundle").iterdir())
    run_id = (tmp_path / "run").read_text()
    assert store.client.get_run(run_id).info.status == "RUNNING"
    # A second try, such as KFP's retry, goes on in the same run.
    planned(lines.path, tmp_path, store)
    assert (tmp_path / "run").read_text() == run_id

    done = [
        train_trial(
            lines.path, tmp_path / "bundle", as_kfp_hands_over(trial),
            parent_run=run_id, tracking_uri=store.uri, git_commit="abc", work="",
        )
        for trial in plan
    ]  # fmt: skip
    runs = children(store, run_id)
    assert {run.info.run_name for run in runs} == {"trial 0", "trial 1"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    cers = {run.info.run_name: run.data.metrics["val_cer"] for run in runs}
    assert cers == {f"trial {n}": list(one["history"].values())[-1] for n, one in enumerate(done)}

    hopeless = Trial(
        number=2, settings=plan[1]["settings"], sampled=plan[1]["sampled"], state=DIVERGED, reason="loss inf"
    )
    names = {"best": tmp_path / "best", "table": tmp_path / "table", "page": tmp_path / "page"}
    cer = collect_trials(
        [as_kfp_hands_over(one) for one in (hopeless.to_dict(), *reversed(done))],
        run_id=run_id, tracking_uri=store.uri, **names,
    )  # fmt: skip
    assert cer == min(one["cer"] for one in done)
    best = json.loads(names["best"].read_text())
    assert best in [one["settings"] for one in done]
    assert training_config(best).model.channels == (4, 4, 8, 8)
    assert isinstance(best["batch_size"], int)
    rows = list(csv.DictReader(names["table"].open()))
    assert [(row["trial"], row["state"]) for row in rows] == [("0", COMPLETE), ("1", COMPLETE), ("2", DIVERGED)]
    page = names["page"].read_text()
    assert "loss inf" in page
    assert page.count("data:image/png;base64,") >= 3
    parent = store.client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_val_cer"] == cer
    assert parent.data.tags["best_learning_rate"] == str(best["learning_rate"])


def test_the_pruned_search_records_a_nested_run_a_trial_and_goes_on_in_the_same(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"base": "", "settings": FIXED, "max_lines": 24, "seed": 1, "git_commit": "abc"}
    for trials in (1, 2):
        cer = search_recorded(lines.path, tmp_path / "out", trials=trials, tracking_uri=store.uri, **given)
    (experiment,) = [one for one in store.client.search_experiments() if one.name == "quillflow"]
    runs = store.client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if PARENT not in run.data.tags]
    nested = children(store, parent.info.run_id)
    assert (len(runs), len(nested)) == (3, 2)
    assert {(run.info.status, run.data.tags["state"]) for run in nested} == {("FINISHED", COMPLETE)}
    assert parent.data.metrics["best_val_cer"] == cer
    assert parent.data.metrics["trials"] == 2
    for run in nested:
        told = store.client.get_metric_history(run.info.run_id, "val_cer")
        assert [point.step for point in told] == [0, 1]
    assert {"best.json", "trials.csv", "search.html"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_what_cannot_be_searched_on_is_named_before_anything_is_begun(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path
) -> None:
    unjudged = write_lines(tmp_path / "unjudged", [make_line("one", n) for n in range(3)])
    with pytest.raises(DataError, match="'val'"):
        planned(unjudged.path, tmp_path, store)
    for changes, named in (
        ({"trials": 0}, "trials"),
        ({"max_lines": 0}, "max_lines"),
        ({"settings": {"x": 1}}, "x"),
    ):
        with pytest.raises(SettingsError, match=named):
            planned(lines.path, tmp_path, store, **changes)
    assert [one.name for one in store.client.search_experiments() if one.name == "quillflow"] == []


def test_a_search_without_a_single_complete_trial_fails_and_says_why(
    store: ModelRegistry, tmp_path: Path, lines: LinesDataset
) -> None:
    plan = planned(lines.path, tmp_path, store)
    run_id = (tmp_path / "run").read_text()
    results = [{**trial, "state": DIVERGED, "reason": "loss inf"} for trial in plan]
    names = {"best": tmp_path / "best", "table": tmp_path / "table", "page": tmp_path / "page"}
    with pytest.raises(DataError, match=r"none of 2 trials.*loss inf"):
        collect_trials(results, run_id=run_id, tracking_uri=store.uri, **names)
    assert store.client.get_run(run_id).info.status == "FAILED"
    assert not any(path.exists() for path in names.values())
