"""Checkpoints beside the versions of a store: sent up when they are written, brought down where there is none.

    PREFIX/checkpoints/KEY/newest.json    which files belong together
    PREFIX/checkpoints/KEY/SHA256         a file

Nothing is ever removed here: let the bucket expire what lies below ``checkpoints/``.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.errors import AlteredError, StoreError
from htr.versions import store_uri
from htr.versions.objects import Objects

FORMAT_VERSION = 1
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointStore:
    """Where a training's checkpoints are kept besides its work folder. Plain values: processes are given it."""

    address: str
    """``s3://BUCKET/PREFIX`` or a folder."""
    key: str
    """Of the training."""
    names: Sequence[str]
    """Files of its work folder that belong together; those that are not there yet are left out."""

    def send(self, folder: Path) -> None:
        """Send the files up; they count from the moment at which all of them are there.

        Raises:
            StoreError: the store is away or refuses.
        """
        objects = _objects(self.address)
        files = {}
        for name in self.names:
            file = folder / name
            if not file.is_file():
                continue
            digest, size = _digest(file), file.stat().st_size
            if objects.size(f"{self._place}/{digest}") != size:
                objects.send(
                    f"{self._place}/{digest}", file, size=size, sha256=digest, on_bytes=lambda number: None
                )
            files[name] = {"sha256": digest, "size": size}
        data = json.dumps({"format_version": FORMAT_VERSION, "files": files}).encode()
        for _ in range(_TRIES):  # somebody else may write it: the same training, started twice
            now = objects.read(self._newest)
            if objects.write(self._newest, data, replacing=now.tag if now else None):
                return
        raise StoreError(f"{self.address}/{self._newest}: somebody else keeps writing it; is this run on twice?")

    def bring(self, folder: Path) -> bool:
        """Bring the newest checkpoint down; return whether there was one. Files appear whole, the first one last.

        Raises:
            StoreError: the store is away or refuses.
            AlteredError: a file is not what was sent.
        """
        objects = _objects(self.address)
        found = objects.read(self._newest)
        if found is None:
            return False
        try:
            listed = json.loads(found.data)
            files: dict[str, Any] = {name: listed["files"][name] for name in self.names if name in listed["files"]}
            known = listed["format_version"] == FORMAT_VERSION
        except (ValueError, KeyError, TypeError) as error:
            raise AlteredError(f"{self.address}/{self._newest}: not a list of checkpoints; remove it") from error
        if not known:
            raise AlteredError(f"{self.address}/{self._newest}: of another format version; use its release")
        folder.mkdir(parents=True, exist_ok=True)
        for name, told in reversed(files.items()):  # the checkpoint itself says that all are there
            self._fetch(objects, folder / name, str(told["sha256"]))
        return bool(files)

    def _fetch(self, objects: Objects, file: Path, wanted: str) -> None:
        partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
        try:
            digest = hashlib.sha256()
            with partial.open("wb") as out:
                for piece in objects.pieces(f"{self._place}/{wanted}", 0):
                    digest.update(piece)
                    out.write(piece)
            if digest.hexdigest() != wanted:
                raise AlteredError(f"{self.address}/{self._place}/{wanted}: not what was sent; remove it")
            partial.replace(file)
        except FileNotFoundError as error:
            raise AlteredError(f"{self.address}/{self._place}/{wanted}: is gone; remove {self._newest}") from error
        finally:
            partial.unlink(missing_ok=True)

    @property
    def _place(self) -> str:
        return f"checkpoints/{self.key}"

    @property
    def _newest(self) -> str:
        return f"{self._place}/newest.json"


def _objects(address: str) -> Objects:
    uri = store_uri(address)
    objects: Objects
    if uri.startswith("s3://"):
        from htr.versions.s3 import S3Objects  # minio: only for those who have an object store

        objects = S3Objects(uri)
    else:
        from htr.versions.folder import FolderObjects

        objects = FolderObjects(uri)
    objects.prepare()
    return objects


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
