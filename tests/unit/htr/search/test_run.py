"""Searching: trials, pruning, a kill and what the same folder makes of it."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.bundle import Bundle
from htr.errors import AlteredError, DataError, DivergedError, OutputError, SettingsError
from htr.lines import LinesDataset, LinesWriter
from htr.search.config import SearchConfig
from htr.search.plots import PLOTS
from htr.search.run import search
from htr.search.space import Choice
from htr.search.trial import COMPLETE, DIVERGED, FAILED, PRUNED, RUNNING, Trial
from htr.train import Progress
from tests.conftest import make_line

SHAPE = {"height": 16, "channels": [4, 4, 8, 8], "width": 16, "layers": 1}
FIXED = {"model": SHAPE, "accelerator": "cpu", "batch_size": 8}
CONFIG = SearchConfig(trials=3, max_lines=72, settings=FIXED)
ROOT = Path(__file__).parents[4]


class Told:
    """Keeps what a search tells."""

    def __init__(self) -> None:
        self.begun: list[Trial] = []
        self.epochs: list[tuple[int, int]] = []
        self.ended: list[Trial] = []

    def trial_begins(self, trial: Trial) -> None:
        self.begun.append(replace(trial, history=dict(trial.history)))

    def trial_trains(self, trial: Trial, progress: Progress) -> None:
        if progress.metrics:
            self.epochs.append((trial.number, progress.epoch))

    def trial_ends(self, trial: Trial) -> None:
        self.ended.append(trial)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(32):
            writer.add(make_line(("one", "two", "ten")[n % 3], n, split="val" if n % 4 == 3 else "train"))
    return LinesDataset.open(path)


def timeless(trials: list[Trial]) -> list[Trial]:
    return [replace(trial, seconds=0.0) for trial in trials]


KILLED = """
import os, signal, sys
from pathlib import Path
from htr.lines import LinesDataset
from htr.search.run import search
from htr.search.space import Choice
from tests.unit.htr.search.test_run import CONFIG, Told

class Killer(Told):
    def trial_trains(self, trial, progress):
        if trial.number == 1 and progress.epoch == 1 and not progress.metrics:
            os.kill(os.getpid(), signal.SIGKILL)

search(LinesDataset.open(sys.argv[1]), Path(sys.argv[2]), CONFIG, watcher=Killer())
"""


def test_a_killed_search_goes_on_in_its_trial_and_ends_as_one_left_alone(
    dataset: LinesDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(dataset.path), str(tmp_path / "killed")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "best.json").is_file()  # the first trial is complete
    resumed, alone = Told(), Told()
    found = search(dataset, tmp_path / "killed", CONFIG, watcher=resumed)
    wanted = search(dataset, tmp_path / "alone", CONFIG, watcher=alone)

    assert [trial.number for trial in resumed.begun] == [1, 2]
    assert [sorted(trial.history) for trial in resumed.begun] == [[1], []]
    assert resumed.epochs == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert timeless(found) == timeless(wanted)
    assert [trial.state for trial in found] == [COMPLETE] * 3
    assert (tmp_path / "killed" / "best.json").read_bytes() == (tmp_path / "alone" / "best.json").read_bytes()
    assert not (tmp_path / "killed" / "work").exists()

    # What was found is what training takes, and comes to what the trial came to.
    best = min(found, key=lambda trial: (trial.cer, trial.number))
    kept = tmp_path / "alone" / "best.json"
    assert json.loads(kept.read_text()) == best.settings
    assert main(["train", str(dataset.path), "--config", str(kept), "--out", str(tmp_path / "b")]) == 0
    assert f"validation CER {best.cer:.1%} after 3 epochs" in capsys.readouterr().out
    assert Bundle.open(tmp_path / "b").architecture["width"] == SHAPE["width"]

    # More trials continue it; the first ones are as they were.
    more = search(dataset, tmp_path / "alone", replace(CONFIG, trials=4), watcher=alone)
    assert timeless(more[:3]) == timeless(wanted)
    rows = list(csv.DictReader((tmp_path / "alone" / "trials.csv").open()))
    assert [(row["trial"], row["state"], float(row["cer"])) for row in rows] == [
        (str(trial.number), trial.state, trial.cer) for trial in more
    ]
    assert {path.stem for path in (tmp_path / "alone" / "plots").iterdir()} <= set(PLOTS)
    assert (tmp_path / "alone" / "plots" / "history.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SettingsError, match=r"other inputs.*max_lines 72, not 48"):
        search(dataset, tmp_path / "alone", replace(CONFIG, max_lines=48), watcher=alone)


def test_weak_trials_are_stopped_early_and_a_diverged_one_does_not_end_the_search(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    rates = Choice(name="learning_rate", values=(1e-9, 0.03))  # one leaves the network at its first nonsense
    able = {**FIXED, "model": {**SHAPE, "channels": [8, 8, 16, 16], "width": 32, "squeeze": 16}}
    config = SearchConfig(trials=6, max_lines=24 * 10, settings=able, space=(rates,), seed=2)

    class Diverges(Told):
        def trial_trains(self, trial: Trial, progress: Progress) -> None:
            super().trial_trains(trial, progress)
            if trial.number == 0 and progress.epoch == 2:
                raise DivergedError("loss inf")

    told = Diverges()
    trials = search(dataset, tmp_path / "out", config, watcher=told)
    assert timeless(told.ended) == timeless(trials)
    assert (trials[0].state, trials[0].reason, trials[0].cer) == (DIVERGED, "loss inf", None)
    weak = [trial for trial in trials if trial.sampled["learning_rate"] < 0.01]
    assert weak[-1] == trials[5]
    assert (trials[5].state, trials[5].cer) == (PRUNED, None)
    assert 1 <= len(trials[5].history) < 10
    assert json.loads((tmp_path / "out" / "best.json").read_text())["learning_rate"] == 0.03
    assert not (tmp_path / "out" / "work").exists()


def test_a_trial_of_settings_that_cannot_be_trained_fails_and_the_search_goes_on(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    dropout = Choice(name="model.dropout", values=(0.1, 1.0))  # all would be dropped
    config = SearchConfig(trials=4, max_lines=8, settings=FIXED, space=(dropout,))
    told = Told()
    trials = search(dataset, tmp_path / "out", config, watcher=told)
    assert timeless(told.ended) == timeless(trials)
    by_dropout = {trial.sampled["model.dropout"]: trial for trial in trials}
    assert (by_dropout[0.1].state, by_dropout[1.0].state) == (COMPLETE, FAILED)
    assert "dropout" in by_dropout[1.0].reason
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open()))
    assert {(row["model.dropout"], row["state"]) for row in rows} == {("0.1", COMPLETE), ("1.0", FAILED)}


def test_lines_that_nothing_can_be_trained_on_end_the_search_at_once(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        writer.add(make_line("one", 0, split="train"))
    told = Told()
    with pytest.raises(DataError, match="no usable line in split 'val'"):
        search(LinesDataset.open(tmp_path / "d"), tmp_path / "out", CONFIG, watcher=told)
    assert [trial.state for trial in told.ended] == [FAILED]


def test_stored_lines_that_were_altered_end_no_trial(dataset: LinesDataset, tmp_path: Path) -> None:
    config = replace(CONFIG, trials=1, max_lines=8)

    class Altered(Told):
        def trial_trains(self, trial: Trial, progress: Progress) -> None:
            raise AlteredError("lines-000.parquet")

    with pytest.raises(AlteredError):
        search(dataset, tmp_path / "out", config, watcher=Altered())
    assert [trial.state for trial in search(dataset, tmp_path / "out", config, watcher=Told())] == [COMPLETE]


def test_a_study_that_is_none_is_named(dataset: LinesDataset, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match=r"study\.db: cannot be used"):
        search(dataset, tmp_path, CONFIG, watcher=Told())


def test_a_folder_that_another_search_works_in_is_left_alone(dataset: LinesDataset, tmp_path: Path) -> None:
    class Second(Told):
        def trial_begins(self, trial: Trial) -> None:
            assert trial.state == RUNNING
            with pytest.raises(OutputError, match="another search is at work"):
                search(dataset, tmp_path / "out", CONFIG, watcher=Told())
            super().trial_begins(trial)

    second = Second()
    search(dataset, tmp_path / "out", replace(CONFIG, trials=1, max_lines=8), watcher=second)
    assert len(second.begun) == 1
