"""The store of versions: folders in under their content digest, and out again, byte for byte.

    blobs/HH/HEX64            file contents by SHA-256: what two versions share is kept once
    KIND/HEX64/version.json   what the version consists of
    index.json                what names stand for, and have stood for

In this order it is written: a name leads to a manifest that is there, and a manifest to files that are there.
Whoever reads sees a version whole or not at all, whenever the publisher was killed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from htr.errors import ErasedError, MissingError, StoreError
from htr.versions.addresses import KINDS, checked_kind, checked_name, is_digest, plain_digest, version_uri
from htr.versions.cache import FileCache
from htr.versions.checking import Fault, check_objects
from htr.versions.difference import Difference, compare
from htr.versions.erasing import Erased, check_not_erased, erase_version, read_manifests
from htr.versions.fetching import fetch_version
from htr.versions.kinds import read_content
from htr.versions.objects import Objects
from htr.versions.publishing import OnProgress, Publishing, filled
from htr.versions.reading import manifest_of, read_index
from htr.versions.records import INDEX, Lineage, Manifest, Publication, Version, manifest_key
from htr.versions.stored_lines import StoredLines


def _now() -> datetime:
    return datetime.now(UTC)


class VersionStore:
    """Lines datasets and bundles by content digest, and names for them.

    Args:
        objects: where the bytes are kept; see `htr.versions.open_store`.
        now: wall clock.
        sleep: waits for others, seconds.
    """

    def __init__(
        self, objects: Objects, *, now: Callable[[], datetime] = _now, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._objects = objects
        self._now, self._sleep = now, sleep

    @property
    def uri(self) -> str:
        """Address of the store."""
        return self._objects.uri

    def __len__(self) -> int:
        """Return how many versions there are, whatever they go by."""
        keys = (one.key for kind in KINDS for one in self._objects.kept(f"{kind}/"))
        return sum(key.endswith("/version.json") for key in keys)

    def is_there(self) -> bool:
        """Return whether anybody has ever published here, or begun to; a mistyped address leads to nothing.

        Raises:
            StoreError: the store is away or refuses.
        """
        if self._objects.read(INDEX) is not None:
            return True
        return any(
            True for prefix in ("blobs/", *(f"{kind}/" for kind in KINDS)) for _ in self._objects.kept(prefix)
        )

    def publish(
        self,
        kind: str,
        name: str,
        folder: Path | str,
        lineage: Lineage | None = None,
        on_progress: OnProgress | None = None,
        *,
        repair: bool = False,
    ) -> Version:
        """Publish a folder under its content digest, and let a name stand for it.

        Done again it changes nothing; killed and done again it sends what is missing.

        Args:
            kind: ``lines`` or ``bundle``.
            name: letters, digits, '.', '_' and '-'.
            folder: a lines dataset or a bundle.
            lineage: what it came from; what is "" there is taken from the folder, where that says.
            on_progress: told how far the upload is.
            repair: send everything, whatever the store seems to hold: for a store that was damaged.

        Raises:
            SettingsError: no such kind, or no proper name.
            DataError, BundleError: the folder is not what it says.
            ErasedError: this version was erased: it is not taken again.
            StoreError: the store is away or refuses.
        """
        checked_kind(kind)
        checked_name(name)
        content = read_content(kind, Path(folder))
        told = filled(lineage or Lineage(), content.lineage)
        publishing = Publishing(self._objects, stamp=self._stamp, sleep=self._sleep)
        self._objects.prepare()
        check_not_erased(read_index(self._objects), kind, content.digest, self.uri)
        try:
            manifest = publishing.content(kind, Path(folder), content, told, on_progress, repair=repair)
            publishing.settle(kind, content.digest, Path(folder), content.files, on_progress)
            entry = publishing.name(kind, name, content.digest, told)
        except ErasedError:  # since we began: what was sent goes again
            sent = {file.sha256 for file in content.files}
            with suppress(StoreError):  # who may publish may still not remove; then fsck reports it
                erase_version(self._objects, kind, content.digest, at=self._stamp(), sent=sent)
            raise
        return replace(self._version(manifest), name=name, created=entry.created, lineage=entry.lineage)

    def resolve(self, kind: str, name: str) -> Version:
        """Return what a name stands for now.

        Raises:
            MissingError: nothing goes by this name.
        """
        entry = self._entries(kind, name)[-1]
        return replace(self.version(kind, entry.digest), name=name, created=entry.created, lineage=entry.lineage)

    def version(self, kind: str, digest: str) -> Version:
        """Return the version with this content digest (64 hex digits, ``sha256:`` before them or not).

        Raises:
            MissingError: the store has none; ErasedError where it had one.
            AlteredError: its manifest is not what was written.
        """
        key = manifest_key(checked_kind(kind), plain_digest(digest))
        stored = self._objects.read(key)
        if stored is None:
            check_not_erased(read_index(self._objects), kind, plain_digest(digest), self.uri)
            raise MissingError(f"{self.uri}: no {kind} with digest {digest}; see: python -m htr versions {kind}")
        return self._version(manifest_of(self._objects, key, stored.data))

    def find(self, kind: str, wanted: str) -> Version:
        """Return a version by digest or by name."""
        return self.version(kind, wanted) if is_digest(wanted) else self.resolve(kind, wanted)

    def fetch(self, kind: str, digest: str, into: Path | str, on_progress: OnProgress | None = None) -> Path:
        """Copy a version into a folder, whole or not at all; a try that was killed is taken up.

        Args:
            kind: ``lines`` or ``bundle``.
            digest: 64 hex digits.
            into: a folder that is not there, or is empty, or holds this version already. The download lies beside
                it until it is complete.
            on_progress: told how far the download is.

        Returns:
            The folder.

        Raises:
            MissingError: the store has no such version.
            AlteredError: what the store holds is not what was published; the message names the file.
            OutputError: something else is in the folder, or it cannot be written.
            StoreError: the store is away or refuses.
        """
        return fetch_version(self._objects, self.version(kind, digest), Path(into), on_progress)

    def lines(self, wanted: str, *, cache: FileCache | None = None) -> StoredLines:
        """Open a lines dataset where it lies; its shards come when they are read.

        Args:
            wanted: digest or name.
            cache: where shards are kept; by default QUILLFLOW_CACHE, or a folder of the user's.
        """
        return StoredLines(self._objects, self.find("lines", wanted), cache)

    def names(self, kind: str) -> dict[str, str]:
        """Return every name with the digest that it stands for now."""
        return {name: entry.digest for name, entry in read_index(self._objects).names(checked_kind(kind)).items()}

    def history(self, kind: str, name: str) -> tuple[Publication, ...]:
        """Return what a name has stood for, the first one first.

        Raises:
            MissingError: nothing goes by this name.
        """
        return self._entries(kind, name)

    def diff(self, kind: str, a: str, b: str) -> Difference:
        """Return what came, went and changed from version a to version b, each a digest or a name."""
        return compare(self._objects, self.find(kind, a), self.find(kind, b))

    def erase(self, kind: str, digest: str) -> Erased:
        """Erase a version for good; see `htr.versions.erasing`. Killed and done again, it goes on.

        Raises:
            MissingError: the store has no such version.
            StoreError: the store is away or refuses; run it again.
        """
        return erase_version(self._objects, checked_kind(kind), plain_digest(digest), at=self._stamp())

    def erased(self, kind: str) -> dict[str, str]:
        """Return the digest of each version that was erased, and when."""
        return {
            one.digest: one.erased for one in read_index(self._objects).erased if one.kind == checked_kind(kind)
        }

    def half_erased(self) -> list[tuple[str, str]]:
        """Return kind and digest of each version whose erasure was not ended."""
        return [(one.kind, one.digest) for one in read_index(self._objects).erased if one.pending]

    def versions(self, kind: str) -> Iterator[Version]:
        """Yield every version of a kind, whatever it goes by, also where nothing does.

        Raises:
            AlteredError: a manifest is not what was written.
        """
        for manifest in read_manifests(self._objects):
            if manifest.kind == checked_kind(kind):
                yield self._version(manifest)

    def check(self, *, deep: bool = False) -> Iterator[Fault]:
        """Yield what is wrong with the store; see `htr.versions.checking`. Changes nothing.

        Args:
            deep: also read every file, and compare it with its digest.

        Raises:
            StoreError: the store is away or refuses.
        """
        return check_objects(self._objects, now=self._now(), deep=deep)

    def _entries(self, kind: str, name: str) -> tuple[Publication, ...]:
        index = read_index(self._objects)
        entries = index.of(checked_kind(kind), checked_name(name))
        if not entries:
            known = ", ".join(list(index.names(kind))[:10])
            raise MissingError(
                f"{self.uri}: no {kind} named {name!r}; "
                + (f"there are {known}" if known else "there are none yet")
            )
        return entries

    def _version(self, manifest: Manifest) -> Version:
        return Version(
            kind=manifest.kind,
            name="",
            digest=manifest.digest,
            uri=version_uri(self.uri, manifest.kind, manifest.digest),
            created=manifest.created,
            lineage=manifest.lineage,
            files=manifest.files,
        )

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="seconds")
