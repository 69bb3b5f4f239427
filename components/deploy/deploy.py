"""A champion and a target in, an InferenceService (or a patch) that names its digest out. Twice is as once."""

from collections.abc import Callable

from components.deploy.address import Resolved, resolve_champion
from components.deploy.gitops import commit_patch, patch_file, write_patch
from components.deploy.target import Target
from htr.bundle import short
from htr.errors import ServiceError
from k8s.cluster.api import Api, NotThereError
from k8s.cluster.release import HTTP_ROUTE, Route, Servers, Weights, digest_of


def deploy_champion(
    target: Target,
    *,
    model_name: str,
    tracking_uri: str,
    store: str,
    api: Callable[[], Api],
    force: bool = False,
    commit: bool = False,
    route: str = HTTP_ROUTE,
) -> tuple[str, str]:
    """Tell a server the champion's bundle.

    Args:
        target: where.
        model_name: registered model.
        tracking_uri: MLflow's; "" takes the environment's.
        store: of versions; "" takes QUILLFLOW_STORE.
        api: finds Kubernetes; not asked for a target without.
        force: take the address over from whoever set it.
        commit: of a patch, commit it.
        route: HTTPRoute over stable and canary.

    Returns:
        The bundle's address, "" where there is nothing to deploy; and what was done, for people.

    Raises:
        ServiceError: there is no champion, or MLflow, the store or Kubernetes is away or refuses.
        BundleError: what the registry holds is not usable.
        SettingsError: a setting makes no sense.
    """
    if target.kind == "nowhere":
        return "", "nothing to deploy: the local server follows the alias"
    found = resolve_champion(model_name, tracking_uri=tracking_uri, store=store)
    what = f"{model_name} version {found.version} ({short(digest_of(found.uri))})" + (
        ", published" * found.published
    )
    if target.overlay is not None:
        return found.uri, f"{what}: {_patch(target, found, what, commit=commit)}"
    servers = Servers(api=api(), namespace=target.namespace)
    if target.kind == "stable":
        return found.uri, f"{what}: {_told(servers.serve(target.name, found.uri, force=force), target.name)}"
    over = Route(api=servers.api, namespace=target.namespace, name=route, stable=target.name, canary=target.canary)
    return found.uri, f"{what}: {_canary(servers, over, found.uri, force=force)}"


def _canary(servers: Servers, route: Route, uri: str, *, force: bool) -> str:
    now = servers.model(route.stable)
    if now == uri:
        return f"{route.stable} serves it already, as it was"
    if not digest_of(now):
        # Nothing of ours serves yet: there is nothing to compare a canary with.
        told = _told(servers.serve(route.stable, uri, force=force), route.stable)
        return f"the first one, so without a canary; {told}"
    try:
        is_other = servers.model(route.canary) != uri
    except NotThereError:
        is_other = True
    if is_other:  # whatever share the canary has was given to another bundle
        try:
            route.weigh(Weights(stable=100, canary=0))
        except NotThereError as error:
            raise ServiceError(f"{error}; a canary needs the HTTPRoute over both") from error
    return _told(servers.serve(route.canary, uri, like=route.stable, force=force), route.canary)


def _told(changed: bool, name: str) -> str:
    return f"{name} is told to serve it" if changed else f"{name} is told to serve it already, as it was"


def _patch(target: Target, found: Resolved, what: str, *, commit: bool) -> str:
    assert target.overlay is not None  # noqa: S101 - a fault of ours
    file = patch_file(target.overlay, target.name)
    changed = write_patch(target.overlay, target.name, found.uri)
    told = f"{file} " + ("says so" if changed else "says so already, as it was")
    if commit:
        message = f"Serve {what}"
        told += ", committed" if commit_patch(file, message) else ", nothing to commit"
    return told
