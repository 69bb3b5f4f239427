"""KFP signatures of the search's first and last step."""

from typing import NamedTuple

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def plan(
    dataset: dsl.Input[dsl.Dataset],
    base: str,
    settings: dict,
    trials: int,
    max_lines: int,
    seed: int,
    tracking_uri: str,
    git_commit: str,
    work: str,
    bundle: dsl.Output[dsl.Model],
) -> NamedTuple("Plan", [("trials", list), ("run_id", str)]):
    """Sample the trials up front; return them, and the MLflow run that theirs are nested in."""
    from pathlib import Path

    from components.progress import errors_shown
    from components.search.plan import plan_trials

    with errors_shown():
        return plan_trials(
            Path(dataset.path),
            base,
            Path(bundle.path),
            settings=settings,
            trials=trials,
            max_lines=max_lines,
            seed=seed,
            tracking_uri=tracking_uri,
            git_commit=git_commit,
            work=work,
        )


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def collect(
    results: list,
    run_id: str,
    tracking_uri: str,
    best: dsl.Output[dsl.Artifact],
    table: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> float:
    """Pick the best trial and show all; return its CER on the validation lines."""
    from pathlib import Path

    from components.progress import errors_shown
    from components.search.collect import collect_trials

    with errors_shown():
        return collect_trials(
            results,
            run_id=run_id,
            tracking_uri=tracking_uri,
            best=Path(best.path),
            table=Path(table.path),
            page=Path(page.path),
        )
