"""Training with its record: parameters, dataset, curves and commit go to MLflow while the lines are learnt."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from components import tracking
from components.progress import Ticker, clock, say
from components.record import Record
from htr.bundle import MANIFEST, Bundle
from htr.lines import LinesDataset
from htr.pretrained import resolve
from htr.settings import chooses_shape, training_config
from htr.train import Progress, TrainResult, train
from htr.train_config import TrainConfig


class Teach(Protocol):
    """Trains: here (`htr.train.train`), or elsewhere (`components.train.by_job`)."""

    def __call__(
        self,
        dataset: LinesDataset,
        out: Path,
        config: TrainConfig,
        *,
        work: Path,
        base: Bundle | None,
        git_commit: str,
        on_progress: Callable[[Progress], None],
    ) -> TrainResult | None:
        """See `htr.train.train`."""


def train_recorded(
    dataset: Path,
    champion: Path,
    out: Path,
    curves: Path,
    *,
    settings: Mapping[str, Any],
    tracking_uri: str,
    git_commit: str,
    work: str,
    start: str = "",
    parent_run: str = "",
    name: str = "",
    dataset_uri: str = "",
    teach: Teach = train,
) -> str:
    """Train, and record it in MLflow.

    Args:
        dataset: lines dataset.
        champion: bundle to start from; an empty folder for none.
        out: folder for the challenger's bundle.
        curves: file for the per-epoch metrics and for what became of every line, JSON.
        settings: fields of TrainConfig that differ from their defaults, as `htr.settings` takes them.
        tracking_uri: MLflow's; "" takes the environment's.
        git_commit: noted in bundle and run.
        work: folder for checkpoints, kept between tries; "" keeps them beside the bundle.
        start: bundle to start from where there is no champion: its folder, ``pretrained`` for the one that ships,
            or "" for none. Settings that name a network shape do without it.
        parent_run: MLflow run to nest this one in; "" for none.
        name: of a nested run, and of the training where it tells people how far it is.
        dataset_uri: address of the dataset's version in a store; "" where it is in none.
        teach: trains.

    Returns:
        The MLflow run's id.

    Raises:
        SettingsError: an unknown or impossible setting.
        DataError: no usable lines.
    """
    config = training_config(settings)
    base = None
    if (champion / MANIFEST).is_file():
        base = Bundle.open(champion)
    elif start and not chooses_shape(settings):
        base = Bundle.open(resolve(start))
        say(f"{name or 'train'}: starts from {start}")
    lines = LinesDataset.open(dataset)
    folder = Path(work) if work else out.parent / "checkpoints"
    record = Record.of(folder, lines.digest, _flat(config), base.digest if base else "")
    show = _Show(name or "train")

    def on_progress(progress: Progress) -> None:
        show(progress)
        if progress.metrics:
            record.add({"epoch": progress.epoch, **progress.metrics})
            tracking.log_metrics(progress.metrics, step=progress.epoch)

    tags = {"git_commit": git_commit}
    with ExitStack() as open_run:
        client = open_run.enter_context(tracking.service(tracking_uri))
        known = record.run_id if record.run_id and tracking.knows_run(client, record.run_id) else ""
        run_id = open_run.enter_context(tracking.tracked_run(known, tags=tags, parent=parent_run, name=name))
        if run_id != record.run_id:
            tracking.log_dataset(lines, "training", dataset_uri)
            tracking.log_params(_flat(config) | {"base": base.digest if base else "none"})
            for epoch in record.epochs:  # told to a run that is gone: the new one has the whole curve
                tracking.log_metrics({k: v for k, v in epoch.items() if k != "epoch"}, step=int(epoch["epoch"]))
            record.begin(run_id)
        result = teach(
            lines,
            out,
            config,
            work=folder,
            base=base,
            git_commit=git_commit,
            on_progress=on_progress,
        )
        assert result is not None  # noqa: S101 - None is for processes that torchrun started
        tracking.log_metrics({"loader_share": result.loader_share})
        tracking.log_metrics({f"lines_{name}": float(n) for name, n in result.lines.items()})
    content = {
        "epochs": record.epochs,
        "lines": result.lines,
        "train_ids": result.train_ids,
        "excluded": result.excluded,
    }
    curves.write_text(json.dumps(content), encoding="utf-8")
    resumed = f", resumed at epoch {result.resumed_at_epoch}" if result.resumed_at_epoch else ""
    say(f"{name or 'train'}: {result.epochs} epochs{resumed}, validation CER {result.validation_cer:.1%}")
    return run_id


def _flat(config: TrainConfig) -> dict[str, Any]:
    values = asdict(config)
    model = values.pop("model")
    return values | {f"model_{name}": value for name, value in model.items()}


class _Show:
    """Turns training progress into a few lines for people."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ticker: Ticker | None = None
        self._cer = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != "training":
            return
        if self._ticker is None:
            self._ticker = Ticker(self._name, progress.total)
        if progress.metrics:
            self._cer = f", validation CER {progress.metrics['val_cer']:.1%}"
            left = clock((progress.total - progress.done) / progress.rate) if progress.rate else "?"
            say(
                f"{self._name}: epoch {progress.epoch + 1}, {progress.done:,} of {progress.total:,} lines, "
                f"{progress.rate:.0f}/s, {left} left{self._cer}"
            )
        else:
            self._ticker(progress.done, self._cer)
