"""What the folder k8s/ comes to: every overlay alone, and with each component, as kustomize renders it."""

import atexit
import json
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import ROOT

K8S = ROOT / "k8s"
OVERLAYS = ("local", "staging", "production")
COMPONENTS = ("canary", "gpu", "keda", "knative", "kueue", "pages", "prometheus-operator", "trainjob")
WITH_A_NAME = ("tenant",)
"""Components that need a name of the site's; see `of_tenant`."""
ALL_THAT_FIT = ("trainjob", "gpu", "kueue", "pages", "prometheus-operator", "canary", "keda")
"""Components in an order that they may all be used in together; knative goes with neither canary nor keda."""

Manifest = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a lone = is text, as Alertmanager's matchers have it."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def load_all(text: str) -> list[Manifest]:
    """Return the documents of a YAML text, each without what aliases would share."""
    return [json.loads(json.dumps(one)) for one in yaml.load_all(text, Loader) if one]


def composed() -> list[tuple[str, ...]]:
    """Return an overlay and the components beside those that it has itself, for every rendering that is tried."""
    found: list[tuple[str, ...]] = []
    for overlay in OVERLAYS:
        missing = [one for one in COMPONENTS if one not in its_components(overlay)]
        found.append((overlay,))
        found += [(overlay, one) for one in missing]
        found.append((overlay, *(one for one in ALL_THAT_FIT if one in missing)))
    return found


def its_components(overlay: str) -> list[str]:
    """Return the components that an overlay asks for."""
    kustomization = yaml.safe_load((K8S / "overlays" / overlay / "kustomization.yaml").read_text())
    return [Path(one).name for one in kustomization.get("components", [])]


@cache
def rendered(*parts: str) -> tuple[Manifest, ...]:
    """Return what an overlay and further components render to; each composition is rendered once a process.

    A folder of k8s may stand in the overlay's place: ``base``, ``platform``.
    """
    if shutil.which("kubectl") is None:
        pytest.skip("NO MANIFEST WAS CHECKED: kubectl is not here (1.27 or newer; Debian's own is too old)")
    overlay, *components = parts
    folder = _copy() / ("overlays" if overlay in OVERLAYS else "") / overlay
    kustomization = folder / "kustomization.yaml"
    before = kustomization.read_text(encoding="utf-8")
    if components:  # as a site would: one more line in the overlay's own list, before its images and replacements
        content = yaml.safe_load(before)
        content["components"] = [
            *content.get("components", []),
            *(f"../../components/{one}" for one in components),
        ]
        kustomization.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        told = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    finally:
        kustomization.write_text(before, encoding="utf-8")
    assert told.returncode == 0, f"{' + '.join(parts)}: {told.stderr}"
    assert not told.stderr, f"{' + '.join(parts)}: {told.stderr}"
    return tuple(load_all(told.stdout))


@cache
def of_tenant(tenant: str, overlay: str) -> tuple[Manifest, ...]:
    """Return what docs/tenants.md's kustomization renders to, for a tenant and an overlay."""
    if shutil.which("kubectl") is None:
        pytest.skip("NO MANIFEST WAS CHECKED: kubectl is not here (1.27 or newer; Debian's own is too old)")
    page = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    assert {"claims", "overlays/production"} <= set(re.findall(r"claims|overlays/production", shown))
    folder = _copy() / "tenants" / f"{tenant}-{overlay}"
    folder.mkdir(parents=True)
    text = shown.replace("claims", tenant).replace("overlays/production", f"overlays/{overlay}")
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    told = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert not told.stderr, told.stderr
    return tuple(load_all(told.stdout))


@cache
def _copy() -> Path:
    """Return a copy of what kustomize reads, to add components to overlays in; made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="quillflow-k8s-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(K8S, folder / "k8s")
    shutil.copytree(
        ROOT / "monitoring", folder / "monitoring", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    return folder / "k8s"


def everything() -> list[Manifest]:
    """Return every manifest of every composition; the same one of several of them once."""
    found: dict[str, Manifest] = {}
    for parts in composed():
        for one in rendered(*parts):
            found.setdefault(json.dumps(one, sort_keys=True), one)
    return [*found.values(), *examples()]


def examples() -> list[Manifest]:
    """Return the manifests that are shown and that no overlay applies."""
    return [one for file in sorted((K8S / "examples").glob("*.yaml")) for one in load_all(file.read_text())]


def name_of(manifest: Manifest) -> str:
    """Return how a message calls a manifest."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def of_kind(manifests: tuple[Manifest, ...] | list[Manifest], *kinds: str) -> list[Manifest]:
    """Return the manifests of some kinds."""
    return [one for one in manifests if one["kind"] in kinds]
