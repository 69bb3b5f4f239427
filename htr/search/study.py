"""Optuna's study of a search: a file that trials are asked from and told to, whatever was killed in between."""

import json
import math
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from htr.bundle import Bundle
from htr.errors import OutputError, SettingsError
from htr.lines import LinesDataset
from htr.search.config import SearchConfig
from htr.search.space import Choice, Dimension, as_plain
from htr.search.trial import COMPLETE, Trial

FILE = "study.db"
NUM_SPREAD = 10
"""First trials, which are spread over the space; TPE has too little to go by before."""
_UNPRUNED_TRIALS = 4
"""Trials that must have come to their end before the median says anything."""
_UNPRUNED_SHARE = 0.25
"""Share of a trial's epochs before which it is never stopped: CTC begins with a plateau at a CER of 1."""


def open_study(out: Path, inputs: dict[str, Any]) -> optuna.Study:
    """Open the study of a folder, or begin one.

    Raises:
        SettingsError: it was begun with other inputs.
        OutputError: its file is no study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = out.resolve() / FILE
    try:
        study = optuna.create_study(study_name="search", storage=f"sqlite:///{file}", load_if_exists=True)
    except (SQLAlchemyError, RuntimeError) as error:  # damaged, or of another release of Optuna
        reason = str(error).splitlines()[0]
        raise OutputError(f"{file}: cannot be used as a study ({reason}); choose another --out") from error
    known = study.user_attrs.get("inputs")
    if known is None:
        study.set_user_attr("inputs", inputs)
    elif known != inputs:
        others = [name for name in inputs if known.get(name) != inputs[name]]
        differ = [f"{name} {known.get(name)!r}, not {inputs[name]!r}" for name in others]
        raise SettingsError(f"{out}: holds a search with other inputs ({'; '.join(differ)}); choose another --out")
    return study


def inputs_of(
    dataset: LinesDataset, config: SearchConfig, base: Bundle | None, space: tuple[Dimension, ...]
) -> dict[str, Any]:
    """Return all that decides a search but the number of its trials."""
    return {
        "lines": dataset.digest,
        "base": base.digest if base is not None else "",
        "max_lines": config.max_lines,
        "seed": config.seed,
        "pruner": config.pruner,
        "settings": json.loads(json.dumps(config.settings)),
        "space": json.loads(json.dumps(as_plain(space))),
    }


def num_finished(study: optuna.Study) -> int:
    """Return how many trials came to an end, whichever it was."""
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def ask(
    study: optuna.Study,
    space: tuple[Dimension, ...],
    start: list[dict[str, Any]],
    config: SearchConfig,
    number: int,
) -> optuna.Trial:
    """Return the trial that a killed search was in, or the next one, with its settings chosen."""
    # Seeded anew for every trial: a continued search draws what it would have drawn.
    study.sampler = optuna.samplers.TPESampler(
        seed=(config.seed * 1_000_003 + number) % 2**32, multivariate=True, n_startup_trials=NUM_SPREAD
    )
    study.pruner = pruner_for(config.pruner, study.user_attrs.get("epochs", 0))
    trials = study.get_trials(deepcopy=False)
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if running:
        trial = optuna.trial.Trial(study, running[0]._trial_id)
    else:
        if number < len(start) and not any(trial.state == TrialState.WAITING for trial in trials):
            study.enqueue_trial(start[number])
        trial = study.ask()
    for one in space:
        if isinstance(one, Choice):
            trial.suggest_categorical(one.name, one.values)
        elif one.step:
            trial.suggest_int(one.name, int(one.low), int(one.high), step=one.step)
        else:
            trial.suggest_float(one.name, one.low, one.high, log=one.log)
    return trial


def pruner_for(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return a pruner for trials of so many epochs; before the first epoch's end that is not known."""
    if name == "none" or not epochs:
        return optuna.pruners.NopPruner()
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return optuna.pruners.MedianPruner(
        n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=math.ceil(_UNPRUNED_SHARE * epochs)
    )


def known_trials(study: optuna.Study, config: SearchConfig) -> list[Trial]:
    """Return the trials that ended, and the one that runs."""
    trials = []
    for frozen in study.get_trials(deepcopy=False):
        outcome = frozen.user_attrs.get("outcome", {}) if frozen.state.is_finished() else {}
        trials.append(
            Trial(
                number=frozen.number,
                settings=config.complete(frozen.params),
                sampled=dict(frozen.params),
                history=dict(frozen.intermediate_values),
                cer=frozen.value if outcome.get("state") == COMPLETE else None,
                **outcome,
            )
        )
    return trials
