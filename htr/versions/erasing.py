"""A version out of its store for good: manifest and files that no other version uses; a tombstone stays.

    1. index.json says that it was erased, and which files are to go    from now on it is not published again
    2. its manifest goes                                                from now on it is not fetched
    3. its files go that no other manifest names
    4. index.json says that nothing is left to do

Who publishes what shares files with it meanwhile waits for 4 and sends again what went (`VersionStore.publish`).

Killed in between, the same command goes on: what is to go is in the index.
"""

import random
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from htr.errors import ErasedError, MissingError, StoreError
from htr.versions.addresses import KINDS
from htr.versions.fetching import blob_key
from htr.versions.objects import Objects
from htr.versions.reading import read_index, tagged_index
from htr.versions.records import INDEX, Index, Manifest, Tombstone, manifest_key

_TRIES = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """What was done."""

    kind: str
    digest: str
    removed: int
    """Files that went, beside the manifest."""
    shared: int
    """Files that stay: another version uses them."""
    names: tuple[str, ...]
    """What stands for this version still, and leads to its tombstone."""
    learnt: tuple[str, ...]
    """Digests of bundles in the store that learnt from it."""
    kept_by_bucket: bool
    """Whether the bucket keeps what is removed."""


def erase_version(
    objects: Objects, kind: str, digest: str, *, at: str, sent: AbstractSet[str] = frozenset()
) -> Erased:
    """Erase a version; see `htr.versions.store.VersionStore.erase`.

    Args:
        objects: the store's bytes.
        kind: ``lines`` or ``bundle``.
        digest: 64 hex digits.
        at: time, as the tombstone says it.
        sent: SHA-256 of files that were sent for it though it was erased.
    """
    key = manifest_key(kind, digest)
    stored, index = objects.read(key), read_index(objects)
    known = index.tombstone(kind, digest)
    if stored is None and known is None:
        raise MissingError(f"{objects.uri}: no {kind} with digest {digest}; see: python -m htr versions {kind}")
    objects.prepare()  # a place that ignores conditions could lose what others publish meanwhile
    files = {file.sha256 for file in Manifest.from_bytes(stored.data, key).files} if stored else set()
    stone = known or Tombstone(kind=kind, digest=digest, erased=at)
    stone = replace(stone, pending=tuple(sorted(files | sent | set(stone.pending))))
    if stone != known:
        index = _change(objects, lambda now: now.with_tombstone(stone))
    objects.remove(key)
    # Asked for after the manifest went, so that it does not vouch for its own files.
    used = {file.sha256 for one in read_manifests(objects) for file in one.files}
    gone = [sha256 for sha256 in stone.pending if sha256 not in used]
    for sha256 in gone:
        objects.remove(blob_key(sha256))
    index = _change(objects, lambda now: now.with_tombstone(replace(stone, pending=())))
    return Erased(
        kind=kind,
        digest=digest,
        removed=len(gone),
        shared=len(stone.pending) - len(gone),
        names=tuple(name for name, entry in index.names(kind).items() if entry.digest == digest),
        learnt=_learnt(index, digest) if kind == "lines" else (),
        kept_by_bucket=objects.keeps_removed(),
    )


def read_manifests(objects: Objects) -> Iterator[Manifest]:
    """Yield every manifest of a store.

    Raises:
        AlteredError: one is damaged: nobody knows then what it uses.
    """
    for kind in KINDS:
        for key in [one.key for one in objects.kept(f"{kind}/") if one.key.endswith("/version.json")]:
            if (stored := objects.read(key)) is not None:  # None: erased since it was listed
                yield Manifest.from_bytes(stored.data, f"{objects.uri}/{key}")


def check_not_erased(index: Index, kind: str, digest: str, uri: str) -> None:
    """Refuse a version that was erased.

    Raises:
        ErasedError: it was; in one line, when.
    """
    if (stone := index.tombstone(kind, digest)) is not None:
        raise ErasedError(
            f"{uri}: {kind} {digest} was erased on {stone.erased} and does not come back; "
            "publish one without what had to go, or take an earlier one"
        )


def _learnt(index: Index, digest: str) -> tuple[str, ...]:
    found = {one.digest for one in index.publications if one.lineage.dataset.removeprefix("sha256:") == digest}
    return tuple(sorted(one for one in found if index.tombstone("bundle", one) is None))


def _change(objects: Objects, change: Callable[[Index], Index]) -> Index:
    for number in range(_TRIES):
        index, tag = tagged_index(objects)
        changed = change(index)
        if objects.write(INDEX, changed.to_bytes(), replacing=tag):
            return changed
        time.sleep(random.uniform(0, min(1.0, 0.02 * 2 ** min(number, 6))))  # noqa: S311 - only spreads the tries
    raise StoreError(f"{objects.uri}/{INDEX}: others keep writing it; run it again")
