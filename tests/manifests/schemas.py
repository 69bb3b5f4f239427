"""One strict check for every kind: Kubernetes' own schemas, the CRDs beside the project, and our own few lists.

Strict means that a field nobody knows is an error, and that a map of free names may only hold names of `known`.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate

from tests.manifests import known, unlisted
from tests.manifests.rendering import Manifest, load_all
from tests.servers import ROOT

KUBERNETES = ("1.32", "1.37")
"""Oldest and newest release that the manifests are checked against."""
CRDS = ROOT.parent / "shared" / "crds"
_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
_META = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
Schema = dict[str, Any]


class UnknownKindError(Exception):
    """No schema knows a manifest's kind."""


def faults(manifest: Manifest, version: str = KUBERNETES[-1]) -> list[str]:
    """Return what is wrong with a manifest, as texts; nothing where it is right."""
    try:
        schema = schema_of(str(manifest.get("apiVersion")), str(manifest.get("kind")), version)
    except UnknownKindError as error:
        return [str(error)]
    wrong = [
        f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in schema.validator.iter_errors(manifest)
    ]
    return wrong or list(_unknown_names(manifest, schema.root, schema.root, ("",), manifest["kind"]))


class Closed:
    """A schema without doors; made once a kind."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.validator = jsonschema_rs.validator_for(root)


@cache
def schema_of(api: str, kind: str, version: str = KUBERNETES[-1]) -> Closed:
    """Return a kind's schema.

    Raises:
        UnknownKindError: there is none.
    """
    group, _, release = api.rpartition("/")
    file = f"{kind.lower()}-{group.split('.')[0]}-{release}.json" if group else f"{kind.lower()}-{release}.json"
    path = _SCHEMAS / f"v{version}.0-local-strict" / file
    if path.is_file() and (not group or group.endswith(".k8s.io") or "." not in group):
        return Closed(_with_definitions(_local(json.loads(path.read_text())), version))
    if (found := _crds().get((api, kind))) is not None:
        return Closed(_with_definitions(_custom(found), version))
    if (own := unlisted.SCHEMAS.get((api, kind))) is not None:
        return Closed(_with_definitions(_custom(own), version))
    raise UnknownKindError(f"apiVersion {api}, kind {kind}: no schema knows it")


def source_of(manifest: Manifest) -> str:
    """Return where a kind's schema comes from: ``kubernetes``, ``crd``, ``own`` or "" for nowhere."""
    api, kind = manifest["apiVersion"], manifest["kind"]
    if (api, kind) in unlisted.SCHEMAS:
        return "own"
    if (api, kind) in unlisted.FROM_CRDS:
        return "crd"
    return "kubernetes"


@cache
def _crds() -> dict[tuple[str, str], Schema]:
    found: dict[tuple[str, str], Schema] = {}
    for api, kind in unlisted.FROM_CRDS:
        group, _, release = api.partition("/")
        file = CRDS / f"{group}_{kind.lower()}s.yaml"
        for crd in load_all(file.read_text()) if file.is_file() else []:
            (version,) = [one for one in crd["spec"]["versions"] if one["name"] == release]
            found[api, kind] = version["schema"]["openAPIV3Schema"]
    if (routing := found.get(("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"))) is not None:
        # Routes are within routes, which a CRD cannot say: it leaves them open. Ours are one within another.
        route = routing["properties"]["spec"]["properties"]["route"]
        inner = {**route, "properties": {key: one for key, one in route["properties"].items() if key != "routes"}}
        route["properties"]["routes"] = {"type": "array", "items": inner}
    return found


def _custom(schema: Schema) -> Schema:
    """Return a custom kind's schema with no unknown field anywhere, and Kubernetes' own metadata."""
    closed: Schema = _close(schema)
    closed["properties"] = {**closed["properties"], "metadata": {"$ref": _META}}
    closed["required"] = sorted({*closed.get("required", []), "apiVersion", "kind", "metadata"})
    return closed


def _close(node: Any) -> Any:
    if isinstance(node, list):
        return [_close(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: value for key, value in node.items() if key not in {"description", "format", "default", "example"}
    }
    if "$ref" in node:
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    for key in ("properties", "patternProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = {name: _close(one) for name, one in kept[key].items()}
    for key in ("items", "additionalProperties", "anyOf", "allOf", "oneOf", "not"):
        if key in kept:
            kept[key] = _close(kept[key])
    is_open = "additionalProperties" in kept or kept.get("x-kubernetes-preserve-unknown-fields")
    if kept.get("type") == "object" and "properties" in kept and not is_open:
        kept["additionalProperties"] = False
    return kept


def _local(node: Any) -> Any:
    """Return a schema whose references point into the schema itself."""
    if isinstance(node, dict):
        return {
            key: f"#/$defs/{value.rpartition('/')[2]}"
            if key == "$ref" and isinstance(value, str)
            else _local(value)
            for key, value in node.items()
        }
    return [_local(one) for one in node] if isinstance(node, list) else node


@cache
def _definitions(version: str) -> Schema:
    path = _SCHEMAS / f"v{version}.0-local-strict" / "_definitions.json"
    found: Schema = _local(json.loads(path.read_text()))["$defs"]
    return found


def _with_definitions(schema: Schema, version: str) -> Schema:
    """Return a schema with those of Kubernetes' definitions that it needs."""
    every, needed = _definitions(version), {}
    open_ends = [schema]
    while open_ends:
        for reference in _references(open_ends.pop()):
            name = reference.removeprefix("#/$defs/")
            if name not in needed:
                needed[name] = every[name]
                open_ends.append(every[name])
    return {**{key: value for key, value in schema.items() if key != "$id"}, "$defs": needed}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _unknown_names(value: Any, node: Schema, root: Schema, path: tuple[str, ...], kind: str) -> Iterator[str]:
    """Yield what stands in maps that a schema leaves open and that `known` does not list."""
    while "$ref" in node:
        node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list):
        for one in value:
            yield from _unknown_names(one, node.get("items", {}), root, path, kind)
        return
    if not isinstance(value, dict):
        return
    properties = node.get("properties", {})
    free = [key for key in value if key not in properties]
    if free:
        allowed = known.names_of(kind, path)
        if allowed is None:
            yield f"{'/'.join(path[1:])}: any name fits there, and tests/manifests/known.py has no list for it"
            return
        yield from (f"{'/'.join(path[1:])}: {key} is not a known name" for key in free if key not in allowed)
    for key, one in value.items():
        if key in properties:
            yield from _unknown_names(one, properties[key], root, (*path, key), kind)
