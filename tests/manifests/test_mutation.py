"""A misspelt field never gets by: each field of each manifest is misspelt once, and each time it is noticed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.manifests.rendering import Manifest, everything, name_of
from tests.manifests.schemas import CRDS, faults, source_of


def test_every_misspelt_field_is_caught() -> None:
    sources = {"kubernetes", "own"} | ({"crd"} if CRDS.is_dir() else set())
    num_fields, missed = 0, []
    for manifest in _one_a_shape(one for one in everything() if source_of(one) in sources):
        assert not faults(manifest), name_of(manifest)
        for holder, key, path in list(_fields(manifest, "")):
            wrong = _misspelt(key, holder)
            value = holder.pop(key)
            holder[wrong] = value
            num_fields += 1
            if not faults(manifest):
                missed.append(f"{name_of(manifest) if 'metadata' in manifest else key}: {path} as {wrong}")
            del holder[wrong]
            holder[key] = value
        assert not faults(manifest), name_of(manifest)
    assert num_fields > (3000 if "crd" in sources else 2000)
    assert not missed, f"{len(missed)} of {num_fields}: {missed[:20]}"
    if "crd" not in sources:
        pytest.skip("CUSTOM KINDS WERE NOT MISSPELT: their CRDs are not beside the project (../shared/crds)")


def _fields(node: Any, path: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield node, key, f"{path}/{key}"
            yield from _fields(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _fields(value, f"{path}/{number}")


def _misspelt(key: str, beside: dict[str, Any]) -> str:
    """Return a key with its last two characters exchanged, or with the last one twice."""
    swapped = key[:-2] + key[-1] + key[-2:-1]
    return swapped if swapped != key and swapped not in beside else key + key[-1]


def _one_a_shape(manifests: Iterator[Manifest]) -> list[Manifest]:
    """Return one manifest of those that differ in their values only: a check of fields sees no difference."""
    found: dict[str, Manifest] = {}
    for one in manifests:
        shape = {"kind": one["kind"], "fields": sorted({path for _, _, path in _fields(one, "")})}
        found.setdefault(json.dumps(shape), one)
    return list(found.values())
