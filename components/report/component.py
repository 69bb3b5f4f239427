"""KFP signature of the report step, which runs when everything else has ended, well or not."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def report(status: dsl.PipelineTaskFinalStatus, governor: str, pipeline: str) -> str:
    """Tell the governor how the run ended; return what was done."""
    from components.progress import errors_shown, say
    from components.report.tell import Ending, tell

    with errors_shown():
        done = tell(
            Ending(
                pipeline=pipeline,
                run_id=status.pipeline_job_resource_name.rpartition("/")[2],
                state=status.state,
                said=status.error_message or "",
            ),
            governor=governor,
        )
    say(f"report: {done}")
    return done
