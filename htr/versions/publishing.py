"""A version into its store: files, then its manifest, then its name, while others publish and erase."""

import random
import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from htr.errors import StoreError
from htr.versions.erasing import check_not_erased
from htr.versions.fetching import blob_key
from htr.versions.kinds import SIGNATURE, Content
from htr.versions.objects import Objects
from htr.versions.reading import manifest_of, read_index, tagged_index
from htr.versions.records import INDEX, Lineage, Manifest, Publication, StoredFile, manifest_key

_TRIES = 60
"""To write what others write, too."""

OnProgress = Callable[[int, int], None]
"""Called with the bytes that were transferred so far and all that there are to transfer."""


class Publishing:
    """One publication, in its parts; each can be done again.

    Args:
        objects: where the bytes are kept.
        stamp: returns the time to be noted.
        sleep: waits for others, seconds.
    """

    def __init__(self, objects: Objects, *, stamp: Callable[[], str], sleep: Callable[[float], None]) -> None:
        self._objects = objects
        self._stamp, self._sleep = stamp, sleep

    def content(
        self,
        kind: str,
        folder: Path,
        content: Content,
        lineage: Lineage,
        on_progress: OnProgress | None,
        *,
        repair: bool,
    ) -> Manifest:
        """Send the files that are missing, or all to repair, then write the manifest; return it as it is there."""
        key = manifest_key(kind, content.digest)
        stored = self._objects.read(key)
        known = manifest_of(self._objects, key, stored.data) if stored and not repair else None
        if known is not None and not _adds_signature(known, content):
            return known
        self._send(folder, content.files, on_progress, repair=repair)
        for _ in range(_TRIES):
            manifest = Manifest(
                kind=kind,
                digest=content.digest,
                created=known.created if known else self._stamp(),
                lineage=known.lineage if known else lineage,
                files=content.files,
            )
            if self._objects.write(key, manifest.to_bytes(), replacing=stored.tag if stored else None):
                return manifest
            stored = self._objects.read(key)
            known = manifest_of(self._objects, key, stored.data) if stored else None
            if known is not None and not _adds_signature(known, content):
                return known  # somebody else published the same meanwhile
        raise StoreError(f"{self._objects.uri}/{key}: others keep writing it; publish again")

    def settle(
        self,
        kind: str,
        digest: str,
        folder: Path,
        files: tuple[StoredFile, ...],
        on_progress: OnProgress | None,
    ) -> None:
        """Have every file there to stay, now that a manifest names it: somebody may be erasing another version.

        Who erases writes into the index which files are to go, and looks after that which manifests use them: ours
        among them, if its list came later than our look here. If it came earlier it is in the index until all is
        done; then what went can be seen, and is sent again.
        """
        wanted = {file.sha256 for file in files}
        for number in range(_TRIES):
            index = read_index(self._objects)
            check_not_erased(index, kind, digest, self._objects.uri)
            if not any(wanted.intersection(stone.pending) for stone in index.erased):
                self._send(folder, files, on_progress, repair=False)
                return
            self._sleep(min(1.0, 0.05 * 2 ** min(number, 6)))
        raise StoreError(
            f"{self._objects.uri}: an erasure that was not ended may still take files of this version; end it "
            "(python -m pipelines fsck --store says which), then publish again"
        )

    def _send(
        self, folder: Path, files: tuple[StoredFile, ...], on_progress: OnProgress | None, *, repair: bool
    ) -> None:
        distinct = {file.sha256: file for file in files}
        missing = [
            file for file in distinct.values() if repair or self._objects.size(blob_key(file.sha256)) != file.size
        ]
        total, done = sum(file.size for file in missing), 0

        def on_bytes(number: int) -> None:
            nonlocal done
            done += number
            if on_progress:
                on_progress(done, total)

        for file in missing:
            self._objects.send(
                blob_key(file.sha256), folder / file.path, size=file.size, sha256=file.sha256, on_bytes=on_bytes
            )

    def name(self, kind: str, name: str, digest: str, lineage: Lineage) -> Publication:
        """Let a name stand for a version, and return the entry that says so."""
        own = secrets.token_hex(16)
        for number in range(_TRIES):
            index, tag = tagged_index(self._objects)
            check_not_erased(index, kind, digest, self._objects.uri)  # by somebody else, meanwhile
            before = index.of(kind, name)
            # The answer to a write may be lost, and the write not: then the entry is there when it is tried again.
            for entry in before:
                if entry.id == own:
                    return entry
            if before and (before[-1].digest, before[-1].lineage) == (digest, lineage):
                return before[-1]
            entry = Publication(
                id=own, kind=kind, name=name, digest=digest, created=self._stamp(), lineage=lineage
            )
            if self._objects.write(INDEX, index.with_entry(entry).to_bytes(), replacing=tag):
                return entry
            self._sleep(random.uniform(0, min(1.0, 0.02 * 2 ** min(number, 6))))  # noqa: S311 - only spreads the tries
        raise StoreError(f"{self._objects.uri}/{INDEX}: others keep writing it; publish again")


def filled(given: Lineage, found: Lineage) -> Lineage:
    """Return what was given, and what the folder says where nothing was."""
    told = {name: value for name, value in asdict(given).items() if value}
    return Lineage(**{**asdict(found), **told})


def _adds_signature(known: Manifest, content: Content) -> bool:
    """Whether a bundle has come with a signature that the store does not have: its digest does not cover it."""
    own = [file for file in content.files if file.path == SIGNATURE]
    return bool(own) and own[0] not in known.files
