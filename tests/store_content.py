"""Small folders to publish, and a look at a store from the outside: is all that a reader can reach whole?"""

import hashlib
from pathlib import Path

from htr.alphabet import Alphabet
from htr.bundle import ONNX, WEIGHTS, Bundle, write_bundle
from htr.image import Geometry
from htr.versions.fetching import blob_key
from htr.versions.objects import Objects
from htr.versions.records import Index, Manifest


def write_a_bundle(path: Path, *, weights: bytes = b"weights", network: bytes = b"network") -> Bundle:
    """Write a bundle that nobody can read lines with, by the proper way."""
    bundle = Bundle(path=path, architecture={}, alphabet=Alphabet("ab"), geometry=Geometry(), git_commit="abc1234")
    return write_bundle(bundle, {WEIGHTS: weights, ONNX: network})


def names_if_whole(objects: Objects) -> dict[str, list[str]]:
    """Return the digests that every name has stood for, having followed each to its last byte.

    Fails where an entry of the index has no manifest, a manifest lacks a file, or a file is not what it is called.
    """
    stored = objects.read("index.json")
    index = Index.from_bytes(stored.data, "index.json") if stored else Index()
    found: dict[str, list[str]] = {}
    for entry in index.publications:
        key = f"{entry.kind}/{entry.digest}/version.json"
        manifest = objects.read(key)
        assert manifest is not None, f"{entry.name} leads to {entry.digest}, which has no manifest"
        for file in Manifest.from_bytes(manifest.data, key).files:
            content = b"".join(objects.pieces(blob_key(file.sha256), 0))
            assert hashlib.sha256(content).hexdigest() == file.sha256, f"{entry.digest}: {file.path} is not whole"
        found.setdefault(entry.name, []).append(entry.digest)
    return found
