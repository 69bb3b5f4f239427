"""Versions of lines datasets and bundles in an object store or a folder, under their content digest.

store = open_store("s3://BUCKET/PREFIX")
version = store.publish("lines", "letters", Path("my-lines"))
store.fetch("lines", version.digest, Path("copy"))
"""

import os
from pathlib import Path

from htr.lines import LinesDataset
from htr.tenants import Tenant
from htr.versions.addresses import (
    KINDS,
    Address,
    folder_of,
    is_address,
    is_digest,
    parse_version_uri,
    store_uri,
    version_uri,
)
from htr.versions.cache import FileCache
from htr.versions.checking import Fault
from htr.versions.difference import Difference
from htr.versions.erasing import Erased
from htr.versions.objects import Objects
from htr.versions.records import Lineage, Publication, StoredFile, Version
from htr.versions.store import VersionStore

__all__ = [
    "KINDS",
    "Address",
    "Difference",
    "Erased",
    "Fault",
    "FileCache",
    "Lineage",
    "Publication",
    "StoredFile",
    "Version",
    "VersionStore",
    "find_version",
    "is_address",
    "is_digest",
    "open_lines",
    "open_store",
    "parse_version_uri",
    "store_uri",
    "version_uri",
]


def open_store(address: str | Path = "") -> VersionStore:
    """Open a store; nothing is asked of it yet.

    Args:
        address: ``s3://BUCKET/PREFIX``, ``file:///DIR`` or a folder; "" takes QUILLFLOW_STORE. Credentials of S3
            come from the environment or the usual profile files.

    Raises:
        SettingsError: no such address, or no credentials for it.
    """
    uri = store_uri(address)
    objects: Objects
    if uri.startswith("s3://"):
        from htr.versions.s3 import S3Objects  # minio: only for those who have an object store

        objects = S3Objects(uri)
    else:
        from htr.versions.folder import FolderObjects

        Tenant.of(os.environ).check(folder_of(uri))
        objects = FolderObjects(uri)
    return VersionStore(objects)


def find_version(address: str, kind: str) -> tuple[VersionStore, Version]:
    """Open the store that an address of a version names, and find the version.

    Args:
        address: ``quillflow+s3://BUCKET/PREFIX/KIND/DIGEST_OR_NAME``, ``quillflow+file:///...`` or ``store:NAME``.
        kind: the kind that is wanted; "" where the address says it.

    Raises:
        SettingsError: no such address, or one of another kind.
        MissingError: the store has no such version.
    """
    found = parse_version_uri(address, kind)
    store = open_store(found.store)
    return store, store.find(found.kind, found.digest or found.name)


def open_lines(place: str | Path) -> LinesDataset:
    """Open a lines dataset: a folder, or an address of a version, whose shards come when they are read.

    Raises:
        DataError: there is none, or it is not what was published.
        SettingsError: the address is none.
        StoreError: the store is away or refuses.
        TenantError: it belongs to somebody else.
    """
    if not is_address(str(place)):
        Tenant.of(os.environ).check(Path(place))
        return LinesDataset.open(place)
    found = parse_version_uri(str(place), "lines")
    return open_store(found.store).lines(found.digest or found.name)
