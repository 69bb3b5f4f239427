"""KFP signature of the validate step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def validate(
    dataset: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics], report: dsl.Output[dsl.HTML]
) -> None:
    """Check the lines dataset; the report is written in any case, then errors stop the run."""
    from pathlib import Path

    from components.progress import Ticker, errors_shown, say
    from components.validate.checks import validate_lines
    from htr.lines import LinesDataset

    with errors_shown():
        lines = LinesDataset.open(dataset.path)
        ticker = Ticker("validate", len(lines))
        found = validate_lines(lines, report=Path(report.path), on_progress=ticker)
        for name, value in found.metrics().items():
            metrics.log_metric(name, value)
        say(f"validate: {len(found.checks)} checks, {len(found.errors)} errors, {len(found.warnings)} warnings")
        found.raise_on_errors()
