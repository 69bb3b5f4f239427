"""A release on a cluster: which bundle an InferenceService serves, and the weights of an HTTPRoute over two.

What is set is set by server-side apply, under two names that tell whose it is: RELEASE owns the addresses of
bundles, ROLLOUT the weights. Setting what is there already changes nothing, and says so.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htr.errors import ServiceError
from k8s.cluster.api import Api, ChangedMeanwhileError, NotThereError, Object, OwnedElsewhereError, path_of

RELEASE, ROLLOUT = "quillflow-release", "quillflow-rollout"
INFERENCE = "serving.kserve.io/v1beta1 inferenceservices"
ROUTE = "gateway.networking.k8s.io/v1 httproutes"
INSTANCE, KSERVE = "app.kubernetes.io/instance", "serving.kserve.io/"
NAMESPACE, STABLE, CANARY, HTTP_ROUTE = "quillflow", "quillflow", "quillflow-canary", "quillflow"
_ADDRESS = re.compile(r"quillflow\+(?:s3|file)://\S+/bundle/(?P<digest>[0-9a-f]{64})")
_MADE_BY = f"{RELEASE}-made"
_FIRST_APPLIED_BY = {"kubectl", "kubectl-client-side-apply", "kubectl-create", RELEASE, _MADE_BY}
"""Managers that a first `kubectl apply` of the manifests leaves, and ourselves where we did not apply (Kubernetes
tells these apart): what they set is taken over without a word."""


def digest_of(uri: str) -> str:
    """Return the 64 hex digits of a bundle's address, "" where it is none of ours."""
    found = _ADDRESS.fullmatch(uri)
    return found["digest"] if found else ""


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The InferenceServices of one namespace."""

    api: Api
    namespace: str = NAMESPACE

    def model(self, name: str) -> str:
        """Return the address of the bundle that an InferenceService is told to serve, "" where it is told none.

        Raises:
            NotThereError: there is no such InferenceService.
            ServiceError: the API is away or refuses.
        """
        return _model(self.api.get(path_of(INFERENCE, self.namespace, name)))

    def serve(self, name: str, uri: str, *, like: str = "", over: str = "", force: bool = False) -> bool:
        """Tell an InferenceService to serve a bundle.

        Args:
            name: the InferenceService.
            uri: the bundle's immutable address.
            like: where there is no such InferenceService, it is made as this one is; "" makes none.
            over: only where it is told this one now; "" for whatever it is told.
            force: take the address over from whoever set it.

        Returns:
            Whether it was another bundle before, and is this one now.

        Raises:
            NotThereError: there is no such InferenceService.
            OwnedElsewhereError: somebody who is no first `kubectl apply` has set the address.
            ServiceError: the API is away or refuses, or somebody else goes on writing it.
        """
        path = path_of(INFERENCE, self.namespace, name)
        for _ in range(5):
            try:
                before = self.api.get(path)
            except NotThereError:
                if not like:
                    raise
                before = self._made(name, uri, like)
                if _model(before) == uri:
                    return True
            if _model(before) == uri or (over and _model(before) != over):
                return False
            wanted: Object = {
                "apiVersion": INFERENCE.partition(" ")[0],
                "kind": "InferenceService",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"predictor": {"model": {"storageUri": uri}}},
            }
            if over:
                wanted["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            try:
                self._apply(path, wanted, force=force)
            except ChangedMeanwhileError:
                continue  # also a status, or our own write whose answer was lost
            return True
        raise ServiceError(
            f"InferenceService {self.namespace}/{name}: somebody else goes on writing it; stop them"
        )

    def _made(self, name: str, uri: str, like: str) -> Object:
        pattern = self.api.get(path_of(INFERENCE, self.namespace, like))
        # Under another name: what a manager applied once and leaves out later would be taken away.
        return self.api.create(path_of(INFERENCE, self.namespace), _copy(pattern, name, uri), manager=_MADE_BY)

    def _apply(self, path: str, wanted: Object, *, force: bool) -> None:
        try:
            self.api.apply(path, wanted, manager=RELEASE, force=force)
        except OwnedElsewhereError as error:
            if not set(error.managers) <= _FIRST_APPLIED_BY:
                raise OwnedElsewhereError(
                    f"InferenceService {self.namespace}/{wanted['metadata']['name']}: "
                    f"{', '.join(error.managers)} has set its storageUri; let it write the address "
                    "(GitOps: --gitops), or take it over (--force)",
                    error.managers,
                ) from error
            self.api.apply(path, wanted, manager=RELEASE, force=True)

    def is_ready(self, name: str, uri: str) -> bool:
        """Return whether an InferenceService is told to serve a bundle and says that it is ready."""
        found = self.api.get(path_of(INFERENCE, self.namespace, name))
        status = found.get("status") or {}
        # Not every controller says which generation it has seen; to be sure, ask the server's metrics, too.
        seen = status.get("observedGeneration")
        is_seen = seen is None or seen >= found["metadata"].get("generation", 0)
        ready = [one.get("status") for one in status.get("conditions") or [] if one.get("type") == "Ready"]
        return _model(found) == uri and is_seen and ready == ["True"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Who gets how much of the traffic."""

    stable: int
    canary: int
    mirrored: bool = False
    """The canary gets a copy of every request as well, and nobody its answers."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """The HTTPRoute over both."""

    api: Api
    namespace: str = NAMESPACE
    name: str = HTTP_ROUTE
    stable: str = STABLE
    canary: str = CANARY

    def weights(self) -> Weights:
        """Return the weights as they stand.

        Raises:
            ServiceError: the API is away, or the route has no rule with both backends.
        """
        rule = self._rules(self.api.get(self._path))[0]
        refs = self._refs(rule)
        return Weights(
            stable=refs[self.stable].get("weight", 1),
            canary=refs[self.canary].get("weight", 1),
            mirrored=any(one.get("type") == "RequestMirror" for one in rule.get("filters", [])),
        )

    def weigh(self, wanted: Weights) -> bool:
        """Set the weights; return whether they were others. Rules without both backends are left as they are.

        Raises:
            ServiceError: the API is away or refuses, or somebody else goes on writing the route.
        """
        for _ in range(5):
            found = self.api.get(self._path)
            changed = copy.deepcopy(found)
            for rule in self._rules(changed):
                refs = self._refs(rule)
                refs[self.stable]["weight"], refs[self.canary]["weight"] = wanted.stable, wanted.canary
                filters = [one for one in rule.get("filters", []) if one.get("type") != "RequestMirror"]
                if wanted.mirrored:
                    to = {name: refs[self.canary][name] for name in ("name", "port") if name in refs[self.canary]}
                    filters.append({"type": "RequestMirror", "requestMirror": {"backendRef": to}})
                rule.pop("filters", None)
                if filters:
                    rule["filters"] = filters
            if changed["spec"]["rules"] == found["spec"]["rules"]:
                return False
            # Gateway API's rules are one atomic list: we hand back all of it, and only over what we have read.
            value = {
                "apiVersion": ROUTE.partition(" ")[0],
                "kind": "HTTPRoute",
                "metadata": {
                    "name": self.name,
                    "namespace": self.namespace,
                    "resourceVersion": found["metadata"]["resourceVersion"],
                },
                "spec": {"rules": changed["spec"]["rules"]},
            }
            try:
                self.api.apply(self._path, value, manager=ROLLOUT, force=True)
            except ChangedMeanwhileError:
                continue  # also where the answer to a first try was lost: then nothing is left to change
            return True
        raise ServiceError(f"HTTPRoute {self.namespace}/{self.name}: somebody else goes on writing it; stop them")

    @property
    def _path(self) -> str:
        return path_of(ROUTE, self.namespace, self.name)

    def _rules(self, route: Object) -> list[Any]:
        """Return the rules that split traffic between both."""
        rules = [rule for rule in route["spec"].get("rules", []) if len(self._refs(rule)) == 2]
        if not rules:
            raise ServiceError(
                f"HTTPRoute {self.namespace}/{self.name}: no rule has backends for both {self.stable} and "
                f"{self.canary}; apply the canary's manifests (docs/rollout.md)"
            )
        return rules

    def _refs(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Return a rule's backends, by InferenceService; KServe calls a predictor's Service NAME-predictor."""
        names = {
            known: one for one in (self.stable, self.canary) for known in (one, f"{one}-predictor")
        }  # the longer name is no prefix match: names are compared whole
        return {names[ref["name"]]: ref for ref in rule.get("backendRefs", []) if ref.get("name") in names}


def _model(service: Object) -> str:
    model = ((service.get("spec") or {}).get("predictor") or {}).get("model") or {}
    return str(model.get("storageUri", ""))


def _copy(pattern: Object, name: str, uri: str) -> Object:
    """Return an InferenceService like another, with a name and a bundle of its own."""
    found = copy.deepcopy({key: pattern[key] for key in ("apiVersion", "kind", "spec")})
    before, predictor = pattern["metadata"], found["spec"]["predictor"]
    predictor["model"]["storageUri"] = uri
    # Pods that bear the pattern's own labels would be picked by its Service, and get its clients' requests.
    predictor["labels"] = {**_renamed(predictor.get("labels", {}), before["name"], name), INSTANCE: name}
    for spread in predictor.get("topologySpreadConstraints", []):
        if "matchLabels" in spread.get("labelSelector", {}):
            picked = spread["labelSelector"]["matchLabels"]
            spread["labelSelector"]["matchLabels"] = _renamed(picked, before["name"], name)
    # Of annotations KServe's own: how it deploys and scales. Others tell about the pattern (kubectl's, Argo CD's).
    told = {key: text for key, text in before.get("annotations", {}).items() if key.startswith(KSERVE)}
    found["metadata"] = {
        "name": name,
        "namespace": before["namespace"],
        "labels": _renamed(before.get("labels", {}), before["name"], name),
        "annotations": told,
    }
    return found


def _renamed(labels: Mapping[str, str], before: str, name: str) -> dict[str, str]:
    """Return labels in which what was the one's name is the other's."""
    return {key: name if text == before else text for key, text in labels.items()}
