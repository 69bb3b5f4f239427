"""The pruned search with its record: a parent run in MLflow, and one nested in it for every trial."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components import tracking
from components.progress import say
from components.search.collect import log_search
from htr.bundle import Bundle
from htr.lines import LinesDataset
from htr.search.config import SearchConfig
from htr.search.run import search
from htr.search.trial import DIVERGED, FAILED, Trial, best_of
from htr.settings import flat
from htr.train import Progress


def search_recorded(
    dataset: Path,
    out: Path,
    *,
    base: str,
    settings: Mapping[str, Any],
    trials: int,
    max_lines: int,
    seed: int,
    tracking_uri: str,
    git_commit: str,
) -> float:
    """Search as `htr.search.run` does, and record it in MLflow; a killed search goes on in the same runs.

    Args:
        dataset: lines dataset.
        out: folder of the search.
        base: bundle that every trial starts from; "" for none.
        settings: nested training settings that every trial shares; what they name is not searched.
        trials: how many there shall be in the end.
        max_lines: lines shown in a trial that comes to its end.
        seed: of the search, and of every training.
        tracking_uri: MLflow's; "" takes the environment's.
        git_commit: noted in the runs.

    Returns:
        CER of the best trial on the validation lines, as a fraction.

    Raises:
        SettingsError: impossible settings, or ``out`` holds a search with other inputs.
        DataError: the dataset cannot be trained on, or no trial came to its end.
        OutputError: ``out`` cannot be written, or another search is at work there.
        ServiceError: MLflow is away or refuses.
    """
    config = SearchConfig(trials=trials, max_lines=max_lines, seed=seed, settings=dict(settings))
    lines = LinesDataset.open(dataset)
    given = Bundle.open(base) if base else None
    runs = _Runs.of(out / "mlflow-runs.json")
    with tracking.service(tracking_uri) as client:
        known = runs.parent if runs.parent and tracking.knows_run(client, runs.parent) else ""
        with tracking.tracked_run(known, tags={"git_commit": git_commit}) as parent, ExitStack() as child:
            if parent != known:
                runs = _Runs(file=runs.file, parent=parent)
                runs.write()
                tracking.log_dataset(lines, "search")
            watcher = _Recorder(client, runs, child, trials, git_commit)
            found = search(lines, out, config, watcher=watcher, base=given)
            log_search(found, out)
    return best_of(found).cer or 0.0


@dataclass(kw_only=True)
class _Runs:
    """The MLflow runs of a search, in a file of its folder."""

    file: Path
    parent: str = ""
    children: dict[str, str] = field(default_factory=dict)
    """Run by number of the trial."""

    @classmethod
    def of(cls, file: Path) -> "_Runs":
        """Read what an earlier try wrote, or begin anew."""
        return cls(file=file, **json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else cls(file=file)

    def write(self) -> None:
        """Write the file whole."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps({"parent": self.parent, "children": self.children}), encoding="utf-8")
        partial.replace(self.file)


class _Recorder:
    """Watches a search: one nested run a trial, its settings, its CER by epoch, how it ended."""

    def __init__(self, client: Any, runs: _Runs, open_child: ExitStack, total: int, git_commit: str) -> None:
        self._client = client
        self._runs = runs
        self._open_child = open_child
        self._total = total
        self._tags = {"git_commit": git_commit}

    def trial_begins(self, trial: Trial) -> None:
        known = self._runs.children.get(str(trial.number), "")
        run_id = self._open_child.enter_context(
            tracking.tracked_run(known, tags=self._tags, parent=self._runs.parent, name=f"trial {trial.number}")
        )
        if run_id != known:
            tracking.log_params(flat(trial.settings))
            for epoch, cer in trial.history.items():  # told to a run that is gone
                tracking.log_metrics({"val_cer": cer}, step=epoch - 1)
            self._runs.children[str(trial.number)] = run_id
            self._runs.write()

    def trial_trains(self, trial: Trial, progress: Progress) -> None:
        if progress.metrics:
            tracking.log_metrics(progress.metrics, step=progress.epoch)

    def trial_ends(self, trial: Trial) -> None:
        tracking.set_tags({"state": trial.state})
        self._open_child.close()
        if trial.state in {DIVERGED, FAILED}:
            tracking.end_run(self._client, self._runs.children[str(trial.number)], failed=True)
        found = f"validation CER {trial.cer:.1%}" if trial.cer is not None else trial.state
        say(
            f"search: trial {trial.number} ({trial.number + 1} of {self._total}): {found} "
            f"after {len(trial.history)} epochs, {trial.seconds:.0f} s"
        )
