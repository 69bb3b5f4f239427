"""KFP signatures of the search's first and last step."""

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
    run: dsl.Output[dsl.Artifact],
) -> list:
    """Sample the trials up front, and return them; the MLflow run that theirs are nested in is named in a file."""
    from pathlib import Path

    from components.progress import errors_shown
    from components.search.plan import plan_trials

    with errors_shown():
        # One plain list is returned: kfp.local cannot loop over one of several outputs.
        return plan_trials(
            Path(dataset.path),
            base,
            Path(bundle.path),
            Path(run.path),
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
    run: dsl.Input[dsl.Artifact],
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
            run_id=Path(run.path).read_text(encoding="utf-8"),
            tracking_uri=tracking_uri,
            best=Path(best.path),
            table=Path(table.path),
            page=Path(page.path),
        )
