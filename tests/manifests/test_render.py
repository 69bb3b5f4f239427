"""Every overlay with every component renders, and every manifest is one that Kubernetes would take."""

from functools import cache

import kubernetes_validate
import pytest

from tests.manifests import unlisted
from tests.manifests.rendering import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    WITH_A_NAME,
    composed,
    everything,
    name_of,
    rendered,
)
from tests.manifests.schemas import CRDS, KUBERNETES, faults, source_of

CLUSTER_WIDE = {
    "Namespace",
    "ClusterServingRuntime",
    "ClusterStorageContainer",
    "ClusterTrainingRuntime",
    "ClusterQueue",
    "ResourceFlavor",
}


@pytest.mark.parametrize("parts", composed(), ids=" + ".join)
def test_it_renders_and_every_manifest_has_a_place_and_a_name_of_its_own(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    names = [
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in found
    ]
    assert len(set(names)) == len(names)
    for one in found:  # kustomize would give a namespace to custom kinds that have none
        assert ("namespace" in one["metadata"]) is (one["kind"] not in CLUSTER_WIDE), name_of(one)


def test_the_compositions_are_every_overlay_and_component_that_lie_in_the_folder() -> None:
    for name, known in (("overlays", OVERLAYS), ("components", (*COMPONENTS, *WITH_A_NAME))):
        assert sorted(one.name for one in (K8S / name).iterdir()) == sorted(known)


@pytest.mark.parametrize("version", KUBERNETES)
def test_what_is_kubernetes_own_passes_its_strict_schemas(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_once = cache(kubernetes_validate.utils.schema_contents)  # it reads megabytes anew for each manifest
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read_once)
    own = [one for one in everything() if source_of(one) == "kubernetes"]
    assert len(own) > 50
    for one in own:
        kubernetes_validate.validate(one, version, strict=True)
        assert not faults(one, version), name_of(one)


def test_what_is_a_custom_kind_passes_its_crd_with_no_field_that_it_does_not_have() -> None:
    if not CRDS.is_dir():
        pytest.skip("NO CUSTOM KIND WAS CHECKED: the CRDs are not beside the project (../shared/crds)")
    custom = [one for one in everything() if source_of(one) == "crd"]
    assert {(one["apiVersion"], one["kind"]) for one in custom} == unlisted.FROM_CRDS - unlisted.BEGUN
    for one in custom:
        assert not faults(one), name_of(one)


def test_what_no_schema_knows_has_only_fields_that_we_wrote_down() -> None:
    own = [one for one in everything() if source_of(one) == "own"]
    assert {(one["apiVersion"], one["kind"]) for one in own} == set(unlisted.SCHEMAS)
    for one in own:
        assert not faults(one), name_of(one)
