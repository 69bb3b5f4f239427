"""The plots of a search, by Optuna's matplotlib backend: trials in, pictures out."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from htr.errors import OutputError
from htr.search.space import Choice, Dimension
from htr.search.trial import COMPLETE, DIVERGED, FAILED, RUNNING, Trial

logger = logging.getLogger(__name__)

PLOT_FOLDER = "plots"
PLOTS = {
    "history": "CER of every trial, and the best so far",
    "epochs": "CER by epoch: where trials were pruned",
    "importances": "What the CER depended on most",
    "parallel": "Settings of all trials side by side",
    "slices": "CER against each setting",
}
"""Name of every plot, and what it shows."""
_CER = "validation CER"
_NAMED_AT_MOST = 15
"""Trials beyond which a legend would be larger than its plot."""
_AT_LEAST = 2
"""Complete trials without which there is nothing to compare."""


def write_plots(trials: Sequence[Trial], space: Sequence[Dimension], folder: Path) -> list[Path]:
    """Draw the plots, as far as there is something to show.

    Args:
        trials: of the search.
        space: what was searched.
        folder: for the pictures.

    Returns:
        The pictures, in the order of `PLOTS`; none where fewer than two trials are complete.

    Raises:
        OutputError: they cannot be written.
    """
    if sum(trial.state == COMPLETE for trial in trials) < _AT_LEAST:
        return []
    study = study_of(trials, space)
    drawn = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in PLOTS:
            path = folder / f"{name}.png"
            if _draw(name, study, path):
                drawn.append(path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    return drawn


def study_of(trials: Sequence[Trial], space: Sequence[Dimension]) -> optuna.Study:
    """Return the trials as a study in memory; those that diverged, failed or still run have no part in it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="validation CER")
    kinds = {dimension.name: distribution(dimension) for dimension in space}
    for trial in sorted(trials, key=lambda one: one.number):
        if trial.state in {DIVERGED, FAILED, RUNNING} or (trial.cer is None and not trial.history):
            continue
        complete = trial.state == COMPLETE
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=trial.cer if complete else trial.history[max(trial.history)],
                params={name: _typed(value, kinds[name]) for name, value in trial.sampled.items()},
                distributions=kinds,
                intermediate_values=dict(trial.history),
            )
        )
    return study


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension in Optuna's terms."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if dimension.step:
        return IntDistribution(int(dimension.low), int(dimension.high), step=dimension.step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _typed(value: Any, kind: BaseDistribution) -> Any:
    """Return a value that KFP may have made a float of as the kind that its distribution holds."""
    return kind.to_external_repr(kind.to_internal_repr(value))


def _draw(name: str, study: optuna.Study, path: Path) -> bool:
    """Draw one plot; return whether there was anything to draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            if name == "history":
                plots.plot_optimization_history(study, target_name=_CER)
            elif name == "epochs":
                axes = plots.plot_intermediate_values(study)
                axes.set(xlabel="epoch", ylabel=_CER)
                legend = axes.get_legend()
                if legend and len(study.trials) > _NAMED_AT_MOST:
                    legend.remove()
            elif name == "importances":
                plots.plot_param_importances(study, target_name=_CER)
            elif name == "parallel":
                plots.plot_parallel_coordinate(study, target_name=_CER)
                pyplot.gcf().set_size_inches(15, 6)  # room for the scales between the axes
                for axes in pyplot.gcf().axes:
                    axes.grid(visible=False)  # every scale has lines of its own, which hide the trials
            else:
                plots.plot_slice(study, target_name=_CER)
        except (ValueError, RuntimeError) as error:  # such as importances of trials that all came to the same
            logger.info("no plot of %s: %s", name, error)
            pyplot.close()
            return False
    axes = pyplot.gcf().axes[0]
    if name == "slices":
        pyplot.gcf().suptitle(PLOTS[name])
    else:
        axes.set_title("", loc="left")  # where Optuna has its own
        axes.set_title(PLOTS[name])
    if name in {"history", "epochs"}:
        axes.locator_params(axis="x", integer=True)
    if name == "importances" and (legend := axes.get_legend()):
        legend.remove()
    pyplot.gcf().savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": ""})
    pyplot.close()
    return True
