"""Trials one after another: Sobol points first, then what Optuna's TPE proposes; weak ones are stopped early.

OUT/study.db    Optuna's study: every trial, its settings and its CER by epoch
OUT/work/       checkpoints of the trial that runs; removed when it ends

A search follows from (dataset, base, config): a killed one goes on in the trial that it was in, at that trial's
last finished epoch, and ends as one left alone.
"""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.trial import TrialState

from htr.bundle import Bundle
from htr.errors import AlteredError, DataError, DivergedError, MissingError, OutputError, SettingsError
from htr.lines import LinesDataset
from htr.search.config import SearchConfig, Watcher
from htr.search.plots import PLOT_FOLDER, write_plots
from htr.search.results import write_tables
from htr.search.space import points, space_for
from htr.search.study import NUM_SPREAD, ask, inputs_of, known_trials, num_finished, open_study, pruner_for
from htr.search.trial import COMPLETE, DIVERGED, FAILED, PRUNED, Trial, best_of
from htr.settings import training_config
from htr.train import Progress, train


def search(
    dataset: LinesDataset, out: Path, config: SearchConfig, *, watcher: Watcher, base: Bundle | None = None
) -> list[Trial]:
    """Run trials until there are as many as asked for; leave the best settings, a table and plots.

    Args:
        dataset: must have lines in ``train`` and ``val``; trials are judged by the CER on ``val``.
        out: folder of the search; one that was begun there with the same inputs is continued.
        config: how.
        watcher: is told of every trial.
        base: bundle that every trial starts from; the network's shape is then its own and not searched.

    Returns:
        All trials, by number.

    Raises:
        SettingsError: impossible settings, or ``out`` holds a search with other inputs.
        DataError: the dataset cannot be trained on, or no trial came to its end.
        OutputError: ``out`` cannot be written, or another search is at work there.
    """
    space = space_for(config.settings, has_base=base is not None, space=config.space)
    start = points(space, min(config.trials, NUM_SPREAD), seed=config.seed)
    training_config(config.complete(start[0]))
    with _alone(out):
        study = open_study(out, inputs_of(dataset, config, base, space))
        while (number := num_finished(study)) < config.trials:
            asked = ask(study, space, start, config, number)
            _run(asked, dataset, out, config, watcher, base)
            write_tables(known_trials(study, config), out)
        trials = known_trials(study, config)
        best_of(trials)
        write_tables(trials, out)
        write_plots(trials, space, out / PLOT_FOLDER)
        shutil.rmtree(out / "work", ignore_errors=True)
    return trials


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep others out of the folder for as long as we are in it, however we end."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{out}: another search is at work there; wait, or choose another") from error
        yield


def _run(
    asked: optuna.Trial,
    dataset: LinesDataset,
    out: Path,
    config: SearchConfig,
    watcher: Watcher,
    base: Bundle | None,
) -> None:
    """Train by a trial's settings, and tell the study what came of it."""
    study = asked.study
    frozen = study.get_trials(deepcopy=False)[asked.number]
    history = dict(frozen.intermediate_values)
    trial = Trial(
        number=asked.number,
        settings=config.complete(asked.params),
        sampled=dict(asked.params),
        history=history,
    )
    watcher.trial_begins(trial)
    began = time.monotonic()

    def on_progress(progress: Progress) -> None:
        if progress.metrics:
            step = progress.epoch + 1
            if step not in history:  # else an epoch that ended without a checkpoint, and is run again
                asked.report(progress.metrics["val_cer"], step)
            history[step] = progress.metrics["val_cer"]
        watcher.trial_trains(trial, progress)
        if progress.metrics and progress.done < progress.total:
            _prune(asked, config.pruner, round(progress.total * step / progress.done))

    work = out / "work" / f"trial-{trial.number}"
    bundle = work / "bundle"  # not kept: a search finds settings, and a model worth having takes a longer training
    shutil.rmtree(bundle, ignore_errors=True)
    refused: DataError | None = None
    try:
        result = train(
            dataset, bundle, training_config(trial.settings), work=work, base=base, on_progress=on_progress
        )
        assert result is not None  # noqa: S101 - None is for processes that torchrun started
        trial = replace(trial, state=COMPLETE, cer=result.validation_cer)
    except optuna.TrialPruned:
        trial = replace(trial, state=PRUNED)
    except DivergedError as error:
        trial = replace(trial, state=DIVERGED, reason=str(error))
    except (AlteredError, MissingError):  # the stored lines are at fault: the trial goes on when they are whole
        raise
    except (SettingsError, DataError) as error:
        trial = replace(trial, state=FAILED, reason=str(error))
        refused = error if isinstance(error, DataError) else None
    trial = replace(trial, seconds=time.monotonic() - began)
    asked.set_user_attr("outcome", {"state": trial.state, "seconds": trial.seconds, "reason": trial.reason})
    # A diverged trial is told as pruned: TPE passes over failed ones, and would go there again.
    ends = {COMPLETE: TrialState.COMPLETE, FAILED: TrialState.FAIL}
    study.tell(asked, trial.cer, state=ends.get(trial.state, TrialState.PRUNED))
    shutil.rmtree(work, ignore_errors=True)
    watcher.trial_ends(trial)
    if refused and not any(one.intermediate_values for one in study.get_trials(deepcopy=False)):
        raise refused  # nothing was ever learnt from these lines: other settings would decode them in vain


def _prune(asked: optuna.Trial, pruner: str, epochs: int) -> None:
    """Stop a trial that is among the weaker, by an exception that leaves training; its last epoch never is."""
    if "epochs" not in asked.study.user_attrs:
        asked.study.set_user_attr("epochs", epochs)
        asked.study.pruner = pruner_for(pruner, epochs)
    if asked.should_prune():
        raise optuna.TrialPruned
