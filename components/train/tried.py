"""One trial of a search as a training of its own: recorded like any other, its bundle thrown away."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.progress import say
from components.train.recorded import train_recorded
from htr.errors import DivergedError
from htr.search.trial import COMPLETE, DIVERGED, Trial


def train_trial(
    dataset: Path,
    base: Path,
    planned: Mapping[str, Any],
    *,
    parent_run: str,
    tracking_uri: str,
    git_commit: str,
    work: str,
) -> dict[str, Any]:
    """Train by the settings of a trial, in an MLflow run nested in that of the search.

    Args:
        dataset: lines dataset.
        base: bundle to start from; an empty folder for none.
        planned: the trial, as `Trial.to_dict` gives it.
        parent_run: MLflow run of the search.
        tracking_uri: MLflow's; "" takes the environment's.
        git_commit: noted in the run.
        work: folder for checkpoints, kept between tries; "" for none.

    Returns:
        The trial with what came of it; one that diverged is a result too.

    Raises:
        SettingsError: an impossible setting.
        DataError: no usable lines.
    """
    trial, began = Trial.from_dict(planned), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves"
        try:
            train_recorded(
                dataset,
                base,
                Path(folder) / "bundle",  # thrown away: a model worth having takes a longer training
                curves,
                settings=trial.settings,
                tracking_uri=tracking_uri,
                git_commit=git_commit,
                work=str(Path(work) / f"trial-{trial.number}") if work else "",  # equal trials must not share one
                parent_run=parent_run,
                name=f"trial {trial.number}",
            )
        except DivergedError as error:
            say(f"trial {trial.number}: {error}")
            return replace(trial, state=DIVERGED, reason=str(error), seconds=time.monotonic() - began).to_dict()
        epochs = json.loads(curves.read_text(encoding="utf-8"))["epochs"]
    history = {int(epoch["epoch"]) + 1: float(epoch["val_cer"]) for epoch in epochs}
    trial = replace(trial, state=COMPLETE, history=history, cer=min(history.values()))
    return replace(trial, seconds=time.monotonic() - began).to_dict()
