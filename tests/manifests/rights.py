"""Rights on Kubernetes: those that requests wanted, and those that manifests grant."""

from tests.kubernetes_api import KubernetesApi
from tests.manifests.rendering import Manifest, of_kind

Right = tuple[str, str, str, str]
"""Verb, group, resource, name."""
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create"}


def needed(api: KubernetesApi) -> set[Right]:
    """Return the rights that the requests wanted which came."""
    found = set()
    for method, path in api.asked:
        _, root, *rest = path.split("/")
        group = rest.pop(0) if root == "apis" else ""  # secrets, accounts and the like have none
        _, _, namespace, resource, *name = rest
        assert namespace == "quillflow"
        below = f"/{name[1]}" if len(name) > 1 else ""
        found.add((VERBS[method], group, resource + below, name[0] if name else ""))
    return found


def rights_of(manifests: tuple[Manifest, ...], account: str) -> set[Right]:
    """Return what an account may in our namespace."""
    roles = {one["metadata"]["name"]: one["rules"] for one in of_kind(manifests, "Role")}
    return {
        (verb, group, resource, name)
        for binding in of_kind(manifests, "RoleBinding")
        if account in {one["name"] for one in binding["subjects"]}
        for rule in roles[binding["roleRef"]["name"]]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }
