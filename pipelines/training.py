"""The training pipeline, one DAG for a laptop and a cluster.

    1. ingest     lines + corrections -> one lines dataset; a share of the corrections is held back as ``recent``
    2. validate   Great Expectations; errors stop the run, warnings are reported
    3. champion   the bundle that serves today, from the MLflow registry (nothing, the first time)
    4. train      a challenger, from the champion's weights, or the shipped ones where there is no champion
    5. evaluate   the challenger gets its language model; it and the champion read the same held-out lines; report,
                  calibration, reference profile
    6. gate       stated rules on the report
    7. register   a new version of the registered model, alias ``challenger``
    8. promote    only if the gate said so: aliases ``champion`` and ``previous`` move
    9. deploy     then, and only if asked to: what serves on the cluster is told the champion's bundle, by digest

Steps 3 and 6 to 9 look at or change the registry and are never cached. What the steps hand on are artifacts, so
that each can be run again by itself. On a cluster the whole stands in an exit handler (`pipelines.reported`).
"""

from collections.abc import Callable
from typing import NamedTuple

from kfp import dsl

from components.champion.component import champion
from components.deploy.component import deploy as deploy_step
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import ingest
from components.promote.component import promote
from components.register.component import register
from components.train.component import train
from components.validate.component import validate
from htr.pretrained import PRETRAINED
from pipelines.placing import Service, let_begin_trainjobs, let_deploy, place, work_folder
from pipelines.site import LOCAL, Site

NAME = "quillflow-training"
DESCRIPTION = "Lines in, a better champion out, or none."


class Outcome(NamedTuple):
    """What a pipeline run came to."""

    promoted: bool
    version: str
    compared_with: str
    cer: float
    report: dsl.Artifact
    page: dsl.HTML
    validation: dsl.HTML
    decision: dsl.Artifact
    curves: dsl.Artifact
    evaluated: dsl.Model


def training_on(site: Site, *, contents: str = "") -> Callable[..., Outcome]:
    """Return the DAG's function for a site; call it within a pipeline.

    Args:
        site: what the cluster wants of the steps.
        contents: stands for what ``lines`` and ``corrections`` hold, where their addresses do so for ever; then
            the ingest step may come from KFP's cache. "" where an address may hold something else tomorrow.
    """

    def training(
        lines: str,
        corrections: str = "",
        model_name: str = "quillflow",
        tracking_uri: str = "",
        work: str = site.work,
        start: str = PRETRAINED,
        trainer: str = "",
        tune_lines: int = 200,
        settings: dict = {},  # noqa: B006 - KFP reads defaults from the signature; the body never runs with them
        cer_ceiling: float = 0.5,
        margin: float = 0.01,
        held_back: float = 0.3,
        git_commit: str = "",
        asked_by: str = "",
        deploy: str = "",
        store: str = "",
    ) -> Outcome:
        """Train on lines and corrections, and promote what reads better.

        Args:
            lines: lines dataset: a folder that every step can reach, or the address of a version in a store.
            corrections: lines dataset of corrected lines; "" for none.
            model_name: registered model in MLflow.
            tracking_uri: MLflow's address; "" takes MLFLOW_TRACKING_URI from the step's environment.
            work: folder for checkpoints, so that a killed training resumes; "" keeps them with the step's outputs.
            start: bundle that a first training starts from: its folder, ``pretrained`` for the one that ships, ""
                for none. Not used where there is a champion, or where the settings name a network shape.
            trainer: "" for the train step's own pod, or ``trainjob``, with ``:NAMESPACE/RUNTIME`` and ``@QUEUE``
                if need be: a TrainJob over as many machines as the settings say, begun and waited for by the step.
            tune_lines: validation lines by which a language model of the training texts is weighed; 0 for none,
                which reads two to three times as fast.
            settings: fields of htr.train_config.TrainConfig that differ from their defaults.
            cer_ceiling: golden CER that a first model must stay below, as a fraction.
            margin: CER by which a challenger may be worse on golden and its subsets, as a fraction.
            held_back: share of the corrections kept from training, as a fraction.
            git_commit: of the code, noted in bundle and registry.
            asked_by: what the run was begun for, noted in the registry: the governor knows its own runs by it.
            deploy: what a new champion is deployed to: ``stable`` or ``canary``, either with ``:NAMESPACE/NAME``,
                or ``gitops:FOLDER``; "" for none, as where a server follows the alias (docs/rollout.md).
            store: object store that it is deployed from, ``s3://BUCKET/PREFIX``; "" takes QUILLFLOW_STORE.
        """
        data = place(
            ingest(lines=lines, corrections=corrections, held_back=held_back), site, "data", asks=["store"]
        )
        if contents:  # the same contents by the same code: the merged dataset of an earlier run will do
            data.set_caching_options(True, cache_key=contents)
        dataset = data.outputs["dataset"]

        checked = place(validate(dataset=dataset), site, "data")

        today = champion(model_name=model_name, tracking_uri=tracking_uri).after(checked)
        place(today, site, "light", asks=["registry"])

        taught = train(
            dataset=dataset,
            champion=today.outputs["bundle"],
            settings=settings,
            tracking_uri=tracking_uri,
            git_commit=git_commit,
            work=work_folder(site, work),
            start=start,
            trainer=trainer,
        )
        # Retried: with a work folder that outlives the pod, it goes on where it was.
        # A TrainJob gets lines and base by the store, and leaves its bundle there.
        asked: list[Service] = ["registry", "store"] if site.trainjob_token else ["registry"]
        place(let_begin_trainjobs(taught, site), site, "train", asks=asked)

        judged = evaluate(
            dataset=dataset,
            challenger=taught.outputs["challenger"],
            champion=today.outputs["bundle"],
            curves=taught.outputs["curves"],
            tune_lines=tune_lines,
        )
        place(judged, site, "data").set_caching_options(True)

        allowed = place(
            gate(report=judged.outputs["report"], cer_ceiling=cer_ceiling, margin=margin), site, "light"
        )

        named = register(
            evaluated=judged.outputs["evaluated"],
            dataset=dataset,
            report=judged.outputs["report"],
            page=judged.outputs["page"],
            validation=checked.outputs["report"],
            decision=allowed.outputs["decision"],
            run_id=taught.outputs["Output"],
            asked_by=asked_by,
            model_name=model_name,
            tracking_uri=tracking_uri,
        )
        place(named, site, "light", asks=["registry", "store"])

        with dsl.If(allowed.outputs["Output"] == True, name="may take over"):  # noqa: E712 - KFP builds a condition
            moved = promote(
                version=named.output,
                compared_with=today.outputs["Output"],
                model_name=model_name,
                tracking_uri=tracking_uri,
            )
            place(moved, site, "light", asks=["registry"])
            with dsl.If(deploy != "", name="is deployed"):
                told = deploy_step(target=deploy, model_name=model_name, tracking_uri=tracking_uri, store=store)
                place(let_deploy(told.after(moved), site), site, "light", asks=["registry", "store"])

        return Outcome(
            promoted=allowed.outputs["Output"],
            version=named.output,
            compared_with=today.outputs["Output"],
            cer=judged.outputs["Output"],
            report=judged.outputs["report"],
            page=judged.outputs["page"],
            validation=checked.outputs["report"],
            decision=allowed.outputs["decision"],
            curves=taught.outputs["curves"],
            evaluated=judged.outputs["evaluated"],
        )

    return training


training = dsl.pipeline(name=NAME, description=DESCRIPTION)(training_on(LOCAL))
