"""KFP signature of the register step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def register(
    evaluated: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    report: dsl.Input[dsl.Artifact],
    page: dsl.Input[dsl.HTML],
    validation: dsl.Input[dsl.HTML],
    decision: dsl.Input[dsl.Artifact],
    run_id: str,
    asked_by: str,
    model_name: str,
    tracking_uri: str,
) -> str:
    """Register the challenger with its reports and alias it ``challenger``; return its version."""
    from pathlib import Path

    from components.progress import errors_shown, say
    from components.register.publish import publish

    with errors_shown():
        version = publish(
            Path(evaluated.path),
            Path(dataset.path),
            run_id=run_id,
            asked_by=asked_by,
            model_name=model_name,
            tracking_uri=tracking_uri,
            dataset_uri=dataset.metadata.get("version_uri", ""),
            files={
                "report.json": Path(report.path),
                "report.html": Path(page.path),
                "validation.html": Path(validation.path),
                "decision.json": Path(decision.path),
            },
        )
    say(f"register: {model_name} version {version} (challenger)")
    return version
