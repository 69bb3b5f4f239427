"""Training and the record that it leaves in MLflow, in its bundle and in the file of its curves."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from components.train.recorded import train_recorded
from htr.bundle import Bundle
from htr.errors import DataError, SettingsError
from htr.lines import LinesDataset
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.servers import ModelRegistry

SETTINGS = {"max_lines": 24.0, "seed": 3.0, "accelerator": "cpu"}  # numbers as KFP hands them over
METRICS = {"loss", "val_loss", "val_cer", "learning_rate"}
pytestmark = pytest.mark.usefixtures("mlflow_alone")


@pytest.fixture
def store(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    drawn = [make_line(("one", "one two")[n % 2], n, split="val" if n > 11 else "train") for n in range(16)]
    broken = replace(make_line("one", 16), image=b"no image")
    return write_lines(tmp_path_factory.mktemp("data") / "lines", [*drawn, broken])


@dataclass(frozen=True, kw_only=True)
class Step:
    """The train step in a folder, as a pipeline calls it."""

    folder: Path
    uri: str

    @property
    def curves(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "curves").read_text())
        return found

    def run(self, lines: LinesDataset, champion: Path | None = None, **settings: object) -> str:
        (self.folder / "no-champion").mkdir(parents=True, exist_ok=True)
        return train_recorded(
            lines.path,
            champion or self.folder / "no-champion",
            self.folder / "challenger",
            self.folder / "curves",
            settings={**SETTINGS, **settings},
            tracking_uri=self.uri,
            git_commit="abc1234",
            work=str(self.folder.parent / "work"),
        )


def all_runs(store: ModelRegistry) -> list[Any]:
    return list(store.client.search_runs([one.experiment_id for one in store.client.search_experiments()]))


def test_a_training_leaves_its_whole_record_in_mlflow_and_in_the_curves_file(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Step(folder=tmp_path / "step", uri=store.uri)
    run = store.client.get_run(step.run(lines))

    assert run.info.status == "FINISHED"
    params = {"max_lines": "24", "seed": "3", "base": "none", "model_encoder": "lstm"}
    assert params.items() <= run.data.params.items()
    assert run.data.tags["git_commit"] == "abc1234"
    assert run.data.tags["dataset_digest"] == lines.digest
    (given,) = run.inputs.dataset_inputs
    assert lines.digest.removeprefix("sha256:").startswith(given.dataset.digest)
    assert {tag.key: tag.value for tag in given.tags}["mlflow.data.context"] == "training"

    curves = step.curves
    assert [epoch["epoch"] for epoch in curves["epochs"]] == [0, 1]
    assert all(set(epoch) == METRICS | {"epoch"} for epoch in curves["epochs"])
    for name in METRICS:
        history = store.client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == [0, 1]
        assert [point.value for point in history] == [epoch[name] for epoch in curves["epochs"]]
    assert curves["lines"] == {"train": 12, "val": 4, "excluded_train_undecodable": 1}
    assert curves["train_ids"] == [f"line-{n}" for n in range(12)]
    assert curves["excluded"] == [["line-16", "undecodable"]]
    assert {run.data.metrics[f"lines_{name}"] == count for name, count in curves["lines"].items()} == {True}

    bundle = Bundle.open(step.folder / "challenger")
    assert (bundle.dataset_digest, bundle.git_commit, bundle.base_digest) == (lines.digest, "abc1234", "")
    assert "» train: 2 epochs, validation CER" in capsys.readouterr().out


def test_a_champion_is_the_base_and_is_named_in_run_and_bundle(
    store: ModelRegistry, lines: LinesDataset, tiny_bundle: Path, tmp_path: Path
) -> None:
    step = Step(folder=tmp_path / "step", uri=store.uri)
    run = store.client.get_run(step.run(lines, tiny_bundle))
    champion, challenger = Bundle.open(tiny_bundle), Bundle.open(step.folder / "challenger")
    assert run.data.params["base"] == champion.digest == challenger.base_digest
    assert challenger.architecture == champion.architecture


def test_a_second_try_with_the_same_work_folder_goes_on_in_the_same_run(
    store: ModelRegistry,
    lines: LinesDataset,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tries = [Step(folder=tmp_path / name, uri=store.uri) for name in ("first", "second")]
    run_ids = [one.run(lines, tiny_bundle) for one in tries]
    assert capsys.readouterr().out.count("train: epoch 2") == 1
    assert run_ids[0] == run_ids[1]
    assert len(all_runs(store)) == 1
    assert tries[0].curves == tries[1].curves
    digests = [Bundle.open(one.folder / "challenger").digest for one in tries]
    assert digests[0] == digests[1]


def test_a_work_folder_that_outlived_its_database_tells_the_whole_curve_to_a_new_run(
    lines: LinesDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = {name: ModelRegistry(tmp_path / name) for name in ("gone", "new")}
    first = Step(folder=tmp_path / "first", uri=stores["gone"].uri)
    second = Step(folder=tmp_path / "second", uri=stores["new"].uri)
    gone, run_id = first.run(lines), second.run(lines)
    assert "resumed at epoch 2" in capsys.readouterr().out.splitlines()[-1]
    run = stores["new"].client.get_run(run_id)
    assert (run.info.status, run_id == gone, run.data.params["max_lines"]) == ("FINISHED", False, "24")
    for name in METRICS:
        told = [point.value for point in stores["new"].client.get_metric_history(run_id, name)]
        assert told == [epoch[name] for epoch in first.curves["epochs"]]
        assert len(told) == 2


@pytest.mark.parametrize("setting", ["max_line", "models"])
def test_an_unknown_setting_is_named_and_no_run_is_begun(
    store: ModelRegistry, lines: LinesDataset, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(SettingsError, match=f"unknown training settings.*{setting}"):
        Step(folder=tmp_path / "step", uri=store.uri).run(lines, **{setting: 1})
    assert all_runs(store) == []
    assert not (tmp_path / "step" / "challenger").exists()


def test_a_training_that_fails_is_not_left_running(store: ModelRegistry, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines", [make_line("one", n) for n in range(3)])
    step = Step(folder=tmp_path / "step", uri=store.uri)
    with pytest.raises(DataError, match="'val'"):
        step.run(lines)
    assert [run.info.status for run in all_runs(store)] == ["FAILED"]
    assert not (step.folder / "challenger").exists()
    assert not (step.folder / "curves").exists()
