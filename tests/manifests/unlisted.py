"""Kinds that no schema beside the project describes: the fields of them that we use, and no others.

They are written from the kinds' documentation. A field that is right and not here fails a test, and is then added.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}
QUANTITY: Schema = {"type": ["string", "integer"]}
LABELS: Schema = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"}
CONTAINER: Schema = {"$ref": "#/$defs/io.k8s.api.core.v1.Container"}


def fields(required: str = "", /, **properties: Schema) -> Schema:
    """Return the schema of an object with these fields alone."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def every(item: Schema) -> Schema:
    """Return the schema of a list of at least one."""
    return {"type": "array", "items": item, "minItems": 1}


def kind(spec: Schema) -> Schema:
    """Return the schema of a whole manifest."""
    return fields("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata={}, spec=spec)


_PATH = fields("type value", type={"enum": ["PathPrefix", "Exact"]}, value=TEXT)
_BACKEND = fields("name port weight", name=TEXT, port=WHOLE, weight=WHOLE)
_ROUTE = kind(
    fields(
        "parentRefs rules",
        parentRefs=every(fields("name", group=TEXT, kind=TEXT, name=TEXT, namespace=TEXT)),
        hostnames=every(TEXT),
        rules=every(
            fields(
                "backendRefs",
                matches=every(fields("path", path=_PATH)),
                backendRefs=every(_BACKEND),
                timeouts=fields("request", request=TEXT),
            )
        ),
    )
)
_STORAGE = kind(
    fields(
        "container supportedUriFormats",
        workloadType={"enum": ["initContainer"]},
        supportedUriFormats=every(fields("prefix", prefix=TEXT)),
        container=CONTAINER,
    )
)
_SCALED = kind(
    fields(
        "scaleTargetRef triggers",
        scaleTargetRef=fields("name", apiVersion=TEXT, kind=TEXT, name=TEXT),
        minReplicaCount=WHOLE,
        maxReplicaCount=WHOLE,
        pollingInterval=WHOLE,
        cooldownPeriod=WHOLE,
        fallback=fields("failureThreshold replicas", failureThreshold=WHOLE, replicas=WHOLE),
        triggers=every(
            fields(
                "type metadata",
                type={"enum": ["prometheus"]},
                metricType={"enum": ["AverageValue", "Value"]},
                metadata=fields(
                    "serverAddress query threshold",
                    serverAddress=TEXT,
                    query=TEXT,
                    threshold=TEXT,
                    ignoreNullValues=TEXT,
                ),
            )
        ),
    )
)
_QUEUE = kind(
    fields(
        "namespaceSelector resourceGroups",
        namespaceSelector=LABELS,
        queueingStrategy={"enum": ["BestEffortFIFO", "StrictFIFO"]},
        preemption=fields("withinClusterQueue", withinClusterQueue=TEXT),
        resourceGroups=every(
            fields(
                "coveredResources flavors",
                coveredResources=every(TEXT),
                flavors=every(
                    fields(
                        "name resources",
                        name=TEXT,
                        resources=every(fields("name nominalQuota", name=TEXT, nominalQuota=QUANTITY)),
                    )
                ),
            )
        ),
    )
)
_REMOTE = fields("key property", key=TEXT, property=TEXT)
_SECRET = kind(
    fields(
        "refreshInterval secretStoreRef target data",
        refreshInterval=TEXT,
        secretStoreRef=fields("kind name", kind=TEXT, name=TEXT),
        target=fields("name creationPolicy", name=TEXT, creationPolicy=TEXT),
        data=every(fields("secretKey remoteRef", secretKey=TEXT, remoteRef=_REMOTE)),
    )
)

SCHEMAS: dict[tuple[str, str], Schema] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _ROUTE,
    ("serving.kserve.io/v1alpha1", "ClusterStorageContainer"): _STORAGE,
    ("keda.sh/v1alpha1", "ScaledObject"): _SCALED,
    ("kueue.x-k8s.io/v1beta1", "ResourceFlavor"): kind(fields()),
    ("kueue.x-k8s.io/v1beta1", "ClusterQueue"): _QUEUE,
    ("kueue.x-k8s.io/v1beta1", "LocalQueue"): kind(fields("clusterQueue", clusterQueue=TEXT)),
    ("external-secrets.io/v1", "ExternalSecret"): _SECRET,
}
FROM_CRDS = {
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime"),
    ("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime"),
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"),
}
"""Kinds whose schemas lie in ../shared/crds; without that folder they are not checked, and the tests say so."""
BEGUN = {("trainer.kubeflow.org/v1alpha1", "TrainJob")}
"""Of these, what no manifest has: our programs make it, and their tests check what they make."""
