"""Puts a site's settings on the steps of a DAG: resources, nodes, volumes, secrets, retries, time limits.

What kfp-kubernetes adds goes into the platform part of the compiled pipeline; a run on this machine ignores it,
and the default site asks for none of it, so that such a run does not need the package.
"""

from collections.abc import Collection
from typing import Any, Literal

from kfp import dsl

from components.image import PIPELINE_IMAGE
from htr.tenants import VARIABLE as TENANT
from k8s.cluster.api import LENT_ACCOUNT
from pipelines.site import Place, Site

Kind = Literal["light", "data", "train"]
Service = Literal["store", "registry", "governor"]
_KEYS_TO: dict[str, Service] = {"AWS_": "store", "MLFLOW_": "registry", "QUILLFLOW_GOVERNOR_": "governor"}
"""What a variable's name begins with, and the service that it is a key to."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the path is Linux's
BACKOFF, BACKOFF_FACTOR, LONGEST_BACKOFF = "30s", 2.0, "600s"


def place(task: Any, site: Site, kind: Kind, *, asks: Collection[Service] = ()) -> Any:
    """Give a task what its site has for its kind; return it. Nothing is cached unless somebody says so later.

    Args:
        task: the step.
        site: the cluster.
        kind: of step, by what it takes.
        asks: services that the step talks to; it gets the secrets of these, and those that are no service's.
    """
    where: Place = getattr(site, kind)
    task.set_caching_options(False).set_cpu_limit(where.cpu).set_memory_limit(where.memory)
    if site.image != PIPELINE_IMAGE:
        task.set_container_image(site.image)
    if site.tenant:
        task.set_env_variable(TENANT, site.tenant)
    if where.retries:
        task.set_retry(
            where.retries,
            backoff_duration=BACKOFF,
            backoff_factor=BACKOFF_FACTOR,
            backoff_max_duration=LONGEST_BACKOFF,
        )
    if where.gpus:
        task.set_accelerator_type(where.gpu_type).set_accelerator_limit(where.gpus)
    _on_kubernetes(task, site, where)
    _with_secrets(task, site, asks)
    if kind == "train" and site.checkpoints_claim:
        from kfp import kubernetes

        kubernetes.mount_pvc(task, pvc_name=site.checkpoints_claim, mount_path=site.checkpoints_path)
    return task


def _on_kubernetes(task: Any, site: Site, where: Place) -> None:
    wanted = (site.settings, site.pull_secrets, site.run_as)
    if not any((*wanted, where.timeout_s, where.shared_memory, where.node_selector, where.tolerations)):
        return
    from kfp import kubernetes

    for name, keys in site.settings.items():
        kubernetes.use_config_map_as_env(task, config_map_name=name, config_map_key_to_env=dict(keys))
    if site.pull_secrets:
        kubernetes.set_image_pull_secrets(task, secret_names=list(site.pull_secrets))
    if site.run_as:
        kubernetes.set_security_context(
            task, run_as_user=site.run_as, run_as_group=site.run_as, run_as_non_root=True
        )
    if where.timeout_s:
        kubernetes.set_timeout(task, where.timeout_s)
    if where.shared_memory:
        kubernetes.empty_dir_mount(
            task,
            volume_name="shared-memory",
            mount_path=SHARED_MEMORY,
            medium="Memory",
            size_limit=where.shared_memory,
        )
    for key, value in where.node_selector.items():
        kubernetes.add_node_selector(task, label_key=key, label_value=value)
    for one in where.tolerations:
        kubernetes.add_toleration(
            task, key=one.key, operator=one.operator, value=one.value or None, effect=one.effect
        )


def _with_secrets(task: Any, site: Site, asks: Collection[Service]) -> None:
    reached = {*asks, "store"} if site.direct_artifacts and "registry" in asks else set(asks)
    for name, keys in site.secrets.items():
        wanted = {key: variable for key, variable in keys.items() if _service_of(variable) in {*reached, None}}
        if wanted:
            from kfp import kubernetes

            kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env=wanted)


def _service_of(variable: str) -> Service | None:
    return next((service for begins, service in _KEYS_TO.items() if variable.startswith(begins)), None)


def let_deploy(task: Any, site: Site) -> Any:
    """Lend a task the token that may deploy, where the site has one; return it. No other step gets to see it."""
    return _lent(task, site.deploy_token)


def let_begin_trainjobs(task: Any, site: Site) -> Any:
    """Lend a task the token that may begin TrainJobs, likewise."""
    return _lent(task, site.trainjob_token)


def _lent(task: Any, secret: str) -> Any:
    if secret:
        from kfp import kubernetes

        kubernetes.use_secret_as_volume(task, secret_name=secret, mount_path=str(LENT_ACCOUNT))
    return task


def work_folder(site: Site, given: Any) -> Any:
    """Return what a training step gets as its folder for checkpoints: the run's own volume, where there is one."""
    return f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/checkpoints" if site.workspace else given


def run_config(site: Site) -> Any:
    """Return what holds for a run as a whole: how long it is kept, and its volume."""
    volume = dsl.WorkspaceConfig(size=site.workspace) if site.workspace else None
    return dsl.PipelineConfig(
        workspace=volume,
        ttl_seconds_after_finished=site.keep_finished_s or None,
        # Of the workflow: a pod's own counts from when it has a node, and it may wait for one for ever.
        active_deadline_seconds=site.run_timeout_s or None,
    )
