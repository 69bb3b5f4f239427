"""Published versions of lines that hold lines of somebody: found by reading them all, where they lie."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from htr.versions import FileCache, VersionStore

CACHE_BYTES = 1 << 30
Named = Callable[[str, str, str], bool]
"""Of a line's id, writer and the digest of its image, ``sha256:...``: whether it is meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A version that holds lines that are meant."""

    digest: str
    lines: int
    """How many."""
    names: tuple[str, ...]
    """What stands for it now."""


def find_holding(store: VersionStore, is_meant: Named) -> list[Holding]:
    """Read every published line; return the versions that hold lines that are meant.

    What is read lies in a temporary folder meanwhile, and nothing of it stays on this machine.

    Raises:
        AlteredError: a version is damaged: nobody knows what it holds.
        StoreError: the store is away or refuses.
    """
    names = store.names("lines")
    found = []
    with tempfile.TemporaryDirectory(prefix="quillflow-forget-") as folder:
        cache = FileCache(Path(folder), CACHE_BYTES)
        for version in list(store.versions("lines")):
            count = 0
            for batch in store.lines(version.digest, cache=cache).batches(["id", "writer", "image"], rows=256):
                count += sum(
                    is_meant(row["id"], row["writer"] or "", "sha256:" + hashlib.sha256(row["image"]).hexdigest())
                    for row in batch.to_pylist()
                )
            if count:
                told = tuple(name for name, digest in names.items() if digest == version.digest)
                found.append(Holding(digest=version.digest, lines=count, names=told))
    return found
