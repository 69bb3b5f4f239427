"""Records out of a store: its index and its manifests, checked."""

from htr.errors import StoreError
from htr.versions.objects import Objects
from htr.versions.records import INDEX, Index, Manifest, manifest_key


def tagged_index(objects: Objects) -> tuple[Index, str | None]:
    """Return the index and the tag that a write must replace; where there is none, an empty one and None.

    Raises:
        AlteredError: it is not what was written.
    """
    stored = objects.read(INDEX)
    if stored is None:
        return Index(), None
    return Index.from_bytes(stored.data, f"{objects.uri}/{INDEX}"), stored.tag


def read_index(objects: Objects) -> Index:
    """Return the index, an empty one where there is none."""
    return tagged_index(objects)[0]


def manifest_of(objects: Objects, key: str, data: bytes) -> Manifest:
    """Return the manifest that was read under a key.

    Raises:
        AlteredError: it is not what was written.
        StoreError: it belongs under another key.
    """
    manifest = Manifest.from_bytes(data, f"{objects.uri}/{key}")
    if manifest_key(manifest.kind, manifest.digest) != key:
        raise StoreError(f"{objects.uri}/{key}: is the manifest of another version; restore it from a backup")
    return manifest
