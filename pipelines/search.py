"""The search pipeline, one DAG for a laptop and a cluster: trials side by side.

    1. ingest       the lines, as the training pipeline takes them
    2. validate     Great Expectations; errors stop the run
    3. plan         all trials sampled up front by a seeded Sobol sequence; the search's MLflow run begins
    4. try          for each of them: a training, recorded in a run nested in that of the search
    5. collect      best settings, a table of all trials, a page; the search's MLflow run ends

The best settings go as they are into the training pipeline's ``settings``.
"""

from collections.abc import Callable
from typing import NamedTuple

from kfp import dsl

from components.ingest.component import ingest
from components.search.component import collect, plan
from components.train.component import try_settings
from components.validate.component import validate
from pipelines.placing import place, work_folder
from pipelines.site import LOCAL, Site

NAME = "quillflow-search"
DESCRIPTION = "Lines in, training settings out."


class SearchOutcome(NamedTuple):
    """What a search came to."""

    cer: float
    best: dsl.Artifact
    table: dsl.Artifact
    page: dsl.HTML


def search_on(site: Site, *, contents: str = "") -> Callable[..., SearchOutcome]:
    """Return the DAG's function for a site; ``contents`` as `pipelines.training.training_on` takes it."""

    def search(
        lines: str,
        trials: int = 16,
        max_lines: int = 20_000,
        seed: int = 1,
        base: str = "",
        settings: dict = {},  # noqa: B006 - KFP reads defaults from the signature; the body never runs with them
        tracking_uri: str = "",
        work: str = site.work,
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
        data = place(ingest(lines=lines, corrections="", held_back=0.0), site, "data", asks=["store"])
        if contents:
            data.set_caching_options(True, cache_key=contents)
        dataset = data.outputs["dataset"]

        checked = place(validate(dataset=dataset), site, "data")

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
        place(planned, site, "light", asks=["registry"])

        with dsl.ParallelFor(planned.outputs["Output"], name="trials", parallelism=site.trials_at_once) as one:
            tried = try_settings(
                dataset=dataset,
                base=planned.outputs["bundle"],
                run=planned.outputs["run"],
                planned=one,
                tracking_uri=tracking_uri,
                git_commit=git_commit,
                work=work_folder(site, work),
            )
            place(tried, site, "train", asks=["registry"])

        found = collect(results=dsl.Collected(tried.output), run=planned.outputs["run"], tracking_uri=tracking_uri)
        place(found, site, "light", asks=["registry"])

        return SearchOutcome(
            cer=found.outputs["Output"],
            best=found.outputs["best"],
            table=found.outputs["table"],
            page=found.outputs["page"],
        )

    return search


search = dsl.pipeline(name=NAME, description=DESCRIPTION)(search_on(LOCAL))
