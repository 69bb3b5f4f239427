"""The search pipeline, one DAG for a laptop and a cluster: trials side by side.

    1. ingest       the lines, as the training pipeline takes them
    2. validate     Great Expectations; errors stop the run
    3. plan         all trials sampled up front by a seeded Sobol sequence; the search's MLflow run begins
    4. try          for each of them: a training, recorded in a run nested in that of the search
    5. collect      best settings, a table of all trials, a page; the search's MLflow run ends

The best settings go as they are into the training pipeline's ``settings``.
"""

from typing import NamedTuple

from kfp import dsl

from components.image import GPUS, TRIALS_AT_ONCE
from components.ingest.component import ingest
from components.search.component import collect, plan
from components.train.component import try_settings
from components.validate.component import validate

NAME = "quillflow-search"
GPU = "nvidia.com/gpu"


class SearchOutcome(NamedTuple):
    """What a search came to."""

    cer: float
    best: dsl.Artifact
    table: dsl.Artifact
    page: dsl.HTML


@dsl.pipeline(name=NAME, description="Lines in, training settings out.")
def search(
    lines: str,
    trials: int = 16,
    max_lines: int = 20_000,
    seed: int = 1,
    base: str = "",
    settings: dict = {},  # noqa: B006 - KFP reads defaults from the signature; the body never runs with them
    tracking_uri: str = "",
    work: str = "",
    git_commit: str = "",
) -> SearchOutcome:
    """Try training settings side by side.

    Args:
        lines: lines dataset: a folder that every step can reach; trials are judged by its validation lines.
        trials: how many; a power of two covers the space best.
        max_lines: lines shown to the network in each.
        seed: of the sampling, and of every training.
        base: bundle that every trial starts from, a folder that the plan step can reach; "" for none.
        settings: nested training settings that every trial shares; what they name is not searched.
        tracking_uri: MLflow's address; "" takes MLFLOW_TRACKING_URI from the step's environment.
        work: folder for checkpoints, so that a killed search goes on; "" for none.
        git_commit: of the code, noted in the runs.
    """
    data = ingest(lines=lines, corrections="", held_back=0.0)
    data.set_caching_options(False).set_memory_limit("4Gi").set_cpu_limit("2")
    dataset = data.outputs["dataset"]

    checked = validate(dataset=dataset)
    checked.set_caching_options(False).set_memory_limit("4Gi").set_cpu_limit("2")

    planned = plan(
        dataset=dataset,
        base=base,
        settings=settings,
        trials=trials,
        max_lines=max_lines,
        seed=seed,
        tracking_uri=tracking_uri,
        git_commit=git_commit,
        work=work,
    ).after(checked)
    planned.set_caching_options(False).set_retry(2)

    with dsl.ParallelFor(planned.outputs["Output"], name="trials", parallelism=TRIALS_AT_ONCE) as one:
        tried = try_settings(
            dataset=dataset,
            base=planned.outputs["bundle"],
            run=planned.outputs["run"],
            planned=one,
            tracking_uri=tracking_uri,
            git_commit=git_commit,
            work=work,
        )
        tried.set_caching_options(False).set_retry(2).set_memory_limit("16Gi").set_cpu_limit("8")
        if GPUS:
            tried.set_accelerator_type(GPU).set_accelerator_limit(GPUS)

    found = collect(results=dsl.Collected(tried.output), run=planned.outputs["run"], tracking_uri=tracking_uri)
    found.set_caching_options(False).set_retry(2)

    return SearchOutcome(
        cer=found.outputs["Output"],
        best=found.outputs["best"],
        table=found.outputs["table"],
        page=found.outputs["page"],
    )
