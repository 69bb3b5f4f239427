"""The keys of a store in a bucket; see `htr.versions.objects`."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minio.error import S3Error
from urllib3.exceptions import HTTPError

from htr.errors import DataError, StoreError
from htr.versions.credentials import S3Settings, s3_settings
from htr.versions.objects import Kept, OnBytes, Stored
from htr.versions.records import MAX_BYTES
from htr.versions.s3.connection import LOST, RETRIES, Connection
from htr.versions.s3.parts import PART, Parts, check_sent

_MARK = "store.json"
_UNKNOWN = {"AccessDenied", "NotImplemented", "MethodNotAllowed"}
_MARK_CONTENT = b'{"format_version": 1, "store": "quillflow"}\n'


class S3Objects:
    """See `htr.versions.objects.Objects`.

    Args:
        uri: ``s3://BUCKET/PREFIX``.
        settings: server and account; by default those of the environment.
        sleep: waits between tries, seconds.
    """

    def __init__(
        self, uri: str, *, settings: S3Settings | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.uri = uri
        self._connection = Connection(uri, settings or s3_settings(os.environ))
        self._client, self._bucket = self._connection.client, self._connection.bucket
        self._sleep = sleep
        self._quote = ""
        """What stands around an ETag in If-Match: servers disagree, see `write`."""

    def prepare(self) -> None:
        """Make sure that the server refuses a write whose condition does not hold: some ignore conditions."""
        if self._put(_MARK, _MARK_CONTENT, {"If-None-Match": "*"}):
            self._must_refuse({"If-None-Match": "*"})
        self._must_refuse({"If-Match": "0" * 32})

    def _must_refuse(self, condition: dict[str, str]) -> None:
        if self._put(_MARK, _MARK_CONTENT, condition):
            raise StoreError(
                f"{self._connection.shown}: the server ignores {next(iter(condition))}, so that two who publish "
                "at once could lose each other's names; update it, or use another server"
            )

    def read(self, key: str) -> Stored | None:
        """Return a small object."""
        with self._connection.failures(f"read {key}"):
            try:
                response = self._client.get_object(self._bucket, self._connection.name(key))
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            try:
                data = response.read(MAX_BYTES + 1)
                tag = response.headers.get("etag", "").strip('"')
            finally:
                response.close()
        self._connection.check_tag(tag, f"read {key}")
        if len(data) > MAX_BYTES:
            raise StoreError(
                f"{self._connection.shown}: {key} is larger than {MAX_BYTES >> 20} MiB, which none of ours is"
            )
        return Stored(data=data, tag=tag)

    def write(self, key: str, data: bytes, *, replacing: str | None) -> bool:
        """Write a small object if what is there is what was expected."""
        if replacing is None:
            return self._put(key, data, {"If-None-Match": "*"})
        if self._put(key, data, {"If-Match": f"{self._quote}{replacing}{self._quote}"}):
            return True
        now = self.read(key)
        if now is None or now.tag != replacing:
            return False
        # Refused though nothing has changed: Ceph wants the ETag bare, the standard wants it in quotes.
        self._quote = "" if self._quote else '"'
        return self._put(key, data, {"If-Match": f"{self._quote}{replacing}{self._quote}"})

    def size(self, key: str) -> int | None:
        """Return an object's size."""
        with self._connection.failures(f"look for {key}"):
            try:
                found = self._client.stat_object(self._bucket, self._connection.name(key))
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
        self._connection.check_tag(found.etag, f"look for {key}")
        return found.size

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        """Upload a file, in parts where it is large."""
        try:
            with file.open("rb") as stream:
                if size <= PART:
                    data = stream.read(PART + 1)
                    check_sent(file, hashlib.sha256(data), sha256)
                    self._put(key, data, {})
                    on_bytes(size)
                else:
                    Parts(self._connection).send(key, file, stream, size=size, sha256=sha256, on_bytes=on_bytes)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error

    def remove(self, key: str) -> None:
        """Remove an object."""
        with self._connection.failures(f"remove {key}"):
            self._client.remove_object(self._bucket, self._connection.name(key))
        if self.size(key) is not None:
            raise StoreError(
                f"{self._connection.shown}: {key} is still there after it was removed; remove it again"
            )

    def keeps_removed(self) -> bool:
        """Return whether the bucket says that it keeps old versions; where it does not say: False."""
        try:
            with self._connection.failures("ask for versioning", passing=_UNKNOWN):
                return self._client.get_bucket_versioning(self._bucket).status in {"Enabled", "Suspended"}
        except S3Error:
            return False

    def kept(self, prefix: str) -> Iterator[Kept]:
        """Yield every object below a prefix."""
        own = len(self._connection.name(""))
        with self._connection.failures(f"list {prefix}"):
            for one in self._client.list_objects(
                self._bucket, prefix=self._connection.name(prefix), recursive=True
            ):
                if one.last_modified is not None:
                    key = str(one.object_name)[own:]
                    yield Kept(key=key, size=one.size or 0, time=one.last_modified)

    def begun(self) -> Iterator[Kept]:
        """Yield uploads in parts that are under way, or were left."""
        prefix = self._connection.name("")
        key: str | None = None
        upload: str | None = None
        with self._connection.failures("list uploads"):
            while True:
                found = self._client._list_multipart_uploads(
                    self._bucket, prefix=prefix, key_marker=key, upload_id_marker=upload
                )
                for one in found.uploads:
                    if one.initiated_time is not None:
                        yield Kept(key=str(one.object_name)[len(prefix) :], size=0, time=one.initiated_time)
                if not found.is_truncated:
                    return
                key, upload = found.next_key_marker, found.next_upload_id_marker

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        """Yield an object's bytes; where the connection breaks, it goes on from there."""
        place, failures = start, 0
        while True:
            with self._connection.failures(f"read {key}"):
                try:
                    response = self._client.get_object(self._bucket, self._connection.name(key), offset=place)
                except S3Error as error:
                    if error.code == "NoSuchKey":
                        raise FileNotFoundError(key) from error
                    raise
                try:
                    self._connection.check_tag(response.headers.get("etag"), f"read {key}")
                    while piece := response.read(1 << 20):
                        place, failures = place + len(piece), 0
                        yield piece
                except HTTPError:
                    failures += 1
                    if failures > RETRIES:
                        raise
                else:
                    return
                finally:
                    response.close()
            self._sleep(0.5 * 2**failures)

    def _put(self, key: str, data: bytes, headers: dict[str, str]) -> bool:
        """Write an object with one request; False where its condition does not hold."""
        with self._connection.failures(f"write {key}"):
            try:
                written = self._client._put_object(self._bucket, self._connection.name(key), data, dict(headers))
            except S3Error as error:
                if headers and error.code in LOST | {"NoSuchKey"}:
                    return False
                raise
        self._connection.check_tag(written.etag, f"write {key}")
        return True
