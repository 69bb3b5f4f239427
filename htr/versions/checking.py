"""A store's bytes in, what is wrong with them out: does every name lead to a version, all of which is there?

Files are looked up by listing them, not one by one: a store of a million files is some thousand requests.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from htr.errors import AlteredError, DataError
from htr.versions.addresses import KINDS
from htr.versions.fetching import blob_key
from htr.versions.objects import Objects
from htr.versions.records import INDEX, Index, Manifest, manifest_key

LEFT_AFTER = timedelta(days=1)
"""What was begun so long ago, nobody is ending any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that should not be in a store."""

    key: str
    kind: str
    """``damaged``, ``lost``, ``dangling`` or ``abandoned``; or ``unfinished``, a note."""
    said: str


def check_objects(objects: Objects, *, now: datetime, deep: bool = False) -> Iterator[Fault]:
    """Yield what is wrong; changes nothing.

    Args:
        objects: the store's bytes.
        now: UTC.
        deep: also read every file, and compare it with its digest.

    Raises:
        StoreError: the store is away or refuses.
    """
    index, faults = read_index(objects)
    yield from faults
    manifests: dict[str, Manifest] = {}
    for kind in KINDS:
        for key in [one.key for one in objects.kept(f"{kind}/") if one.key.endswith("/version.json")]:
            stored = objects.read(key)
            try:
                manifest = Manifest.from_bytes(stored.data, key) if stored else None
            except DataError as error:
                yield Fault(key=key, kind="damaged", said=str(error))
                continue
            if manifest is None:  # removed since it was listed
                continue
            if manifest_key(manifest.kind, manifest.digest) != key:
                yield Fault(key=key, kind="damaged", said="is the manifest of another version")
                continue
            manifests[key] = manifest
    yield from _check_names(index, manifests)
    yield from _check_files(objects, manifests, now=now, deep=deep)
    for one in objects.begun():
        if now - one.time > LEFT_AFTER:
            said = f"begun {one.time.isoformat(timespec='minutes')} and never ended; publish again, or remove it"
            yield Fault(key=one.key, kind="abandoned", said=said)


def read_index(objects: Objects) -> tuple[Index, list[Fault]]:
    """Return the index, or an empty one and what is wrong with it."""
    stored = objects.read(INDEX)
    try:
        return (Index.from_bytes(stored.data, INDEX) if stored else Index()), []
    except DataError as error:
        return Index(), [Fault(key=INDEX, kind="damaged", said=str(error))]


def _check_names(index: Index, manifests: dict[str, Manifest]) -> Iterator[Fault]:
    told = set()
    for stone in index.erased:
        key = manifest_key(stone.kind, stone.digest)
        told.add(key)
        if stone.pending or key in manifests:
            said = f"its erasure was not ended; run: python -m htr erase-version {stone.kind} {stone.digest}"
            yield Fault(key=key, kind="damaged", said=said)
    for entry in index.publications:
        key = manifest_key(entry.kind, entry.digest)
        if key not in manifests and key not in told:
            told.add(key)
            said = f"{entry.kind} {entry.name} leads to {entry.digest[:12]}, which has no readable manifest"
            yield Fault(key=key, kind="dangling", said=said)
    known = {manifest_key(entry.kind, entry.digest) for entry in index.publications}
    for key in manifests.keys() - known:
        yield Fault(key=key, kind="unfinished", said="no name has ever led to it: its publisher was killed before")


def _check_files(
    objects: Objects, manifests: dict[str, Manifest], *, now: datetime, deep: bool
) -> Iterator[Fault]:
    there = {one.key: one for one in objects.kept("blobs/")}
    used: dict[str, tuple[int, str]] = {}
    for manifest in manifests.values():
        for file in manifest.files:
            shown = f"{manifest.kind} {manifest.digest[:12]}: {file.path}"
            used.setdefault(blob_key(file.sha256), (file.size, shown))
    for key, (size, shown) in sorted(used.items()):
        if key not in there:
            yield Fault(key=key, kind="lost", said=f"{shown}: is not there; publish the version with --repair")
        elif there[key].size != size:
            said = f"{shown}: has {there[key].size} bytes in place of {size}; publish the version with --repair"
            yield Fault(key=key, kind="damaged", said=said)
        elif deep:
            try:
                _compare(objects, key, shown)
            except AlteredError as error:
                yield Fault(key=key, kind="damaged", said=str(error))
    for key in sorted(there.keys() - used):
        if now - there[key].time > LEFT_AFTER:
            said = "no version uses it: its publisher was killed, and has not gone on"
            yield Fault(key=key, kind="abandoned", said=said)


def _compare(objects: Objects, key: str, shown: str) -> None:
    digest = hashlib.sha256()
    try:
        for piece in objects.pieces(key, 0):
            digest.update(piece)
    except FileNotFoundError as error:
        raise AlteredError(f"{shown}: went while it was read") from error
    if digest.hexdigest() != key.rpartition("/")[2]:
        raise AlteredError(f"{shown}: differs from its digest; publish the version with --repair")
