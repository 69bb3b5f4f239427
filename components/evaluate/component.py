"""KFP signature of the evaluate step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def evaluate(
    dataset: dsl.Input[dsl.Dataset],
    challenger: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    curves: dsl.Input[dsl.Artifact],
    tune_lines: int,
    evaluated: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> float:
    """Read the held-out lines; return the challenger's character error rate on the golden test."""
    from pathlib import Path

    from components.evaluate.compare import compare
    from components.progress import errors_shown

    with errors_shown():
        found = compare(
            Path(dataset.path),
            Path(challenger.path),
            Path(champion.path),
            Path(curves.path),
            evaluated=Path(evaluated.path),
            report=Path(report.path),
            page=Path(page.path),
            tune_lines=tune_lines,
        )
    for name, value in found.items():
        metrics.log_metric(name, value)
    return found["cer"]
