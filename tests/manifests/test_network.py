"""Nothing goes in or out by default, and what does stands in one table."""

import pytest

from tests.manifests.generate import PAGE, page
from tests.manifests.paths import paths_of
from tests.manifests.pods import pods_of
from tests.manifests.rendering import Manifest, composed, of_kind, rendered

OPTIONAL = {"training", "pages", "rollout"}
"""Pods of components: the platform lets them in wherever they are."""
COMPOSITIONS = pytest.mark.parametrize("parts", composed(), ids=" + ".join)


@COMPOSITIONS
def test_every_namespace_of_ours_denies_by_default(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    homes = {one["metadata"]["name"] for one in of_kind(found, "Namespace")}
    denying = {
        one["metadata"]["namespace"]
        for one in of_kind(found, "NetworkPolicy")
        if one["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    assert denying == homes


@COMPOSITIONS
def test_no_policy_opens_every_port_or_every_address(parts: tuple[str, ...]) -> None:
    for policy in of_kind(rendered(*parts), "NetworkPolicy"):
        for way in ("ingress", "egress"):
            for rule in policy["spec"].get(way, []):
                name = policy["metadata"]["name"]
                assert rule["ports"], name
                assert rule["from" if way == "ingress" else "to"], name
                cidrs = [one["ipBlock"]["cidr"] for one in rule.get("to", []) if "ipBlock" in one]
                assert all(int(cidr.partition("/")[2]) >= 16 for cidr in cidrs), name


@COMPOSITIONS
def test_a_path_between_pods_of_ours_is_allowed_at_both_ends(parts: tuple[str, ...]) -> None:
    found = rendered(*parts)
    homes = {one["metadata"]["name"] for one in of_kind(found, "Namespace")}
    absent = {f"quillflow/{one}" for one in OPTIONAL - {_component(pod.manifest) for pod in pods_of(found)}}
    ends: dict[tuple[str, str, str], set[str]] = {}
    for one in paths_of(found):
        if (
            one.needs_both
            and {end.partition("/")[0] for end in one.way[:2]} <= homes
            and not set(one.way[:2]) & absent
        ):
            ends.setdefault(one.way, set()).add(one.end)
    assert not {way: end for way, end in ends.items() if end != {"in", "out"}}


def test_the_page_has_every_path_that_a_policy_allows_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run: python -m tests.manifests.generate"


def _component(manifest: Manifest) -> str:
    if manifest["kind"] == "ClusterTrainingRuntime":
        return "training"
    return str(manifest["metadata"].get("labels", {}).get("app.kubernetes.io/component"))
