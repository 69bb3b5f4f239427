"""KFP signatures of the train step, and of one trial of a search."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset],
    champion: dsl.Input[dsl.Model],
    settings: dict,
    tracking_uri: str,
    git_commit: str,
    work: str,
    start: str,
    trainer: str,
    challenger: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.Artifact],
) -> str:
    """Train a challenger; return the id of the MLflow run that recorded it."""
    from pathlib import Path

    from components.progress import errors_shown
    from components.train.recorded import train_recorded
    from components.train.taught import teacher

    with errors_shown():
        uri = dataset.metadata.get("version_uri", "")
        return train_recorded(
            Path(dataset.path),
            Path(champion.path),
            Path(challenger.path),
            Path(curves.path),
            settings=settings,
            tracking_uri=tracking_uri,
            git_commit=git_commit,
            work=work,
            start=start,
            dataset_uri=uri,
            teach=teacher(trainer, lines_uri=uri, settings=settings),
        )


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def try_settings(
    dataset: dsl.Input[dsl.Dataset],
    base: dsl.Input[dsl.Model],
    run: dsl.Input[dsl.Artifact],
    planned: dict,
    tracking_uri: str,
    git_commit: str,
    work: str,
) -> dict:
    """Train by the settings of one trial of a search; return the trial with what came of it."""
    from pathlib import Path

    from components.progress import errors_shown
    from components.train.tried import train_trial

    with errors_shown():
        return train_trial(
            Path(dataset.path),
            Path(base.path),
            planned,
            parent_run=Path(run.path).read_text(encoding="utf-8"),
            tracking_uri=tracking_uri,
            git_commit=git_commit,
            work=work,
        )
