"""The trials of a search that runs them side by side: all sampled before the first begins."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import tracking
from components.progress import say
from components.record import Record
from htr.bundle import Bundle
from htr.errors import DataError
from htr.lines import LinesDataset
from htr.search.config import SearchConfig
from htr.search.space import points, space_for
from htr.search.trial import Trial
from htr.settings import training_config


def plan_trials(
    dataset: Path,
    base: str,
    bundle: Path,
    run: Path,
    *,
    settings: Mapping[str, Any],
    trials: int,
    max_lines: int,
    seed: int,
    tracking_uri: str,
    git_commit: str,
    work: str,
) -> list[dict[str, Any]]:
    """Sample settings, and begin the run of the search.

    Args:
        dataset: lines dataset.
        base: bundle that every trial starts from; "" for none.
        bundle: folder that becomes a copy of it, or empty.
        run: file for the id of the MLflow run that those of the trials are nested in.
        settings: nested training settings that every trial shares; what they name is not searched.
        trials: how many.
        max_lines: lines shown in each.
        seed: of the sampling, and of every training.
        tracking_uri: MLflow's; "" takes the environment's.
        git_commit: noted in the run.
        work: folder that outlives a failed try: the next one goes on in the same run; "" for none.

    Returns:
        The trials, as `Trial.to_dict` gives them.

    Raises:
        SettingsError: impossible settings.
        DataError: the dataset has no lines to train on or to judge by.
        BundleError: the base is none.
    """
    lines = LinesDataset.open(dataset)
    for split in ("train", "val"):
        if not lines.info.counts["split"].get(split):
            raise DataError(f"{dataset}: no line in split {split!r}; a search needs lines in 'train' and in 'val'")
    config = SearchConfig(trials=int(trials), max_lines=int(max_lines), seed=int(seed), settings=dict(settings))
    space = space_for(config.settings, has_base=bool(base))
    planned = [
        Trial(number=number, settings=config.complete(sampled), sampled=sampled)
        for number, sampled in enumerate(points(space, config.trials, seed=config.seed))
    ]
    for trial in planned:
        training_config(trial.settings)
    digest = ""
    bundle.mkdir(parents=True, exist_ok=True)
    if base:
        digest = Bundle.open(base).digest
        shutil.copytree(base, bundle, dirs_exist_ok=True)
    run_id = _begun(Path(work) if work else bundle.parent, lines, config, digest, tracking_uri, git_commit)
    say(f"search: {len(planned)} trials of {config.max_lines:,} lines each, over {len(space)} settings")
    run.parent.mkdir(parents=True, exist_ok=True)
    run.write_text(run_id, encoding="utf-8")
    return [trial.to_dict() for trial in planned]


def _begun(
    work: Path, lines: LinesDataset, config: SearchConfig, base: str, tracking_uri: str, git_commit: str
) -> str:
    """Return the run that an earlier try began, or begin one."""
    inputs = {"trials": config.trials, "max_lines": config.max_lines, "seed": config.seed}
    record = Record.of(work, lines.digest, {**inputs, "settings": config.settings}, base)
    tags = {"git_commit": git_commit, "dataset_digest": lines.digest, "base": base or "none"}
    with tracking.service(tracking_uri) as client:
        if not record.run_id or not tracking.knows_run(client, record.run_id):
            told = {f"search_{name}": str(value) for name, value in inputs.items()}
            record.begin(tracking.begin_run(tags=tags | told, name="search"))
    return record.run_id
