"""Names in maps that schemas leave open: labels, annotations, quantities, files and settings."""

from functools import cache

from tests.manifests.sources import is_read

LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/part-of",
    "kubernetes.io/metadata.name",
    "pod-security.kubernetes.io/enforce",
    "pod-security.kubernetes.io/audit",
    "pod-security.kubernetes.io/warn",
    "networking.kserve.io/visibility",
    "pipelines.kubeflow.org/v2_component",
    "trainer.kubeflow.org/framework",
    "trainer.kubeflow.org/trainjob-ancestor-step",
    "kueue.x-k8s.io/queue-name",
    "grafana_dashboard",
    "quillflow/gateway",
    "k8s-app",
    "app",
    "component",
}
ANNOTATIONS = {
    "kubernetes.io/description",
    "serving.kserve.io/deploymentMode",
    "serving.kserve.io/autoscalerClass",
}
QUANTITIES = {"cpu", "memory", "storage", "nvidia.com/gpu"}
HARD = {
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.nvidia.com/gpu",
    "limits.cpu",
    "limits.memory",
    "pods",
    "persistentvolumeclaims",
    "services.loadbalancers",
    "services.nodeports",
}
RULE_LABELS = {"route", "severity"}
RULE_ANNOTATIONS = {"summary", "description"}
FILES = {"policy.toml"}

_BY_FIELD = {
    "labels": LABELS,
    "matchLabels": LABELS,
    "selector": LABELS,
    "annotations": ANNOTATIONS,
    "requests": QUANTITIES,
    "limits": QUANTITIES,
    "default": QUANTITIES,
    "defaultRequest": QUANTITIES,
    "hard": HARD,
}


class _Settings:
    """Keys of a ConfigMap: a setting that something reads, or a file that something mounts."""

    def __contains__(self, name: object) -> bool:
        text = str(name)
        return text in FILES or (text.startswith("quillflow-") and text.endswith(".json")) or is_read(text)


@cache
def names_of(kind: str, path: tuple[str, ...]) -> "set[str] | _Settings | None":
    """Return the names that may stand in an open map; None where there is no list for it."""
    field = path[-1]
    if kind == "ConfigMap" and field == "data":
        return _Settings()
    if kind == "PrometheusRule" and "rules" in path:
        return {"labels": RULE_LABELS, "annotations": RULE_ANNOTATIONS}.get(field)
    return _BY_FIELD.get(field)
