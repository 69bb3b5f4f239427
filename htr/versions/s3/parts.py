"""Large files in parts: an upload that was killed is looked up at the server and taken up.

Parts that are there already are compared by their checksums and not sent again. The client's own `put_object`
begins anew each time, so its single requests are used here; it is pinned to one release for that.
"""

import hashlib
import io
from contextlib import suppress
from pathlib import Path

from minio.datatypes import Part
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from htr.errors import DataError, StoreError
from htr.versions.objects import OnBytes
from htr.versions.s3.connection import Connection

PART = 8 << 20
"""Bytes of a part; larger where a file would have more than MAX_PARTS of them."""
MAX_PARTS = 10_000


class Parts:
    """Uploads in parts to one store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client, self._bucket = connection.client, connection.bucket

    def send(
        self, key: str, file: Path, stream: io.BufferedReader, *, size: int, sha256: str, on_bytes: OnBytes
    ) -> None:
        """Upload a file; see `htr.versions.objects.Objects.send`."""
        for last in (False, False, True):
            stream.seek(0)
            sent = 0

            def count(number: int) -> None:
                nonlocal sent
                sent += number
                on_bytes(number)

            try:
                with self._connection.failures(f"write {key}", passing={"NoSuchUpload"}):
                    self._send_once(key, file, stream, size=size, sha256=sha256, on_bytes=count)
            except S3Error:
                # Somebody else who sends the same file has finished this upload, or dropped it.
                if self._size(key) != size:
                    if last:
                        raise StoreError(
                            f"{self._connection.shown}: others keep dropping {key}; publish again"
                        ) from None
                    on_bytes(-sent)
                    continue
                on_bytes(size - sent)
            self._abort_uploads(key)
            return

    def _send_once(
        self, key: str, file: Path, stream: io.BufferedReader, *, size: int, sha256: str, on_bytes: OnBytes
    ) -> None:
        step = max(PART, -(-size // MAX_PARTS))
        upload_id, there = self._begun_upload(key)
        digest, parts = hashlib.sha256(), []
        for number in range(1, -(-size // step) + 1):
            data = stream.read(step)
            digest.update(data)
            parts.append(Part(number, self._part(key, upload_id, number, data, there)))
            on_bytes(len(data))
        try:
            check_sent(file, digest, sha256)
        except DataError:
            self._client._abort_multipart_upload(self._bucket, self._connection.name(key), upload_id)
            raise
        self._client._complete_multipart_upload(self._bucket, self._connection.name(key), upload_id, parts)
        if self._size(key) != size:  # servers do not agree where in their answer the ETag stands
            raise StoreError(f"{self._connection.shown}: {key} is not there after it was written; publish again")

    def _size(self, key: str) -> int | None:
        with self._connection.failures(f"look for {key}"), suppress(S3Error):
            return self._client.stat_object(self._bucket, self._connection.name(key)).size
        return None

    def _part(self, key: str, upload_id: str, number: int, data: bytes, there: dict[int, tuple[str, int]]) -> str:
        """Send a part, unless the server has it; return its ETag."""
        checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if there.get(number) == (checksum, len(data)):
            return checksum
        tag = self._client._upload_part(self._bucket, self._connection.name(key), data, None, upload_id, number)
        self._connection.check_tag(tag, f"write {key}")
        return tag

    def _begun_upload(self, key: str) -> tuple[str, dict[int, tuple[str, int]]]:
        """Return the upload of this object that has come farthest, or a new one; and its parts."""
        best = ""
        parts: dict[int, tuple[str, int]] = {}
        for upload_id in self._uploads(key):
            with suppress(S3Error):  # finished or dropped by somebody else a moment ago
                found = self._parts(key, upload_id)
                if not best or len(found) > len(parts):
                    best, parts = upload_id, found
        if not best:
            best = self._client._create_multipart_upload(self._bucket, self._connection.name(key), {})
        return best, parts

    def _uploads(self, key: str) -> list[str]:
        name = self._connection.name(key)
        try:
            found = self._client._list_multipart_uploads(self._bucket, prefix=name).uploads
        except S3Error as error:
            if error.code in {"AccessDenied", "NotImplemented", "MethodNotAllowed"}:
                return []  # who may write may still not list: then an upload begins anew
            raise
        return [one.upload_id for one in found if one.object_name == name and one.upload_id]

    def _parts(self, key: str, upload_id: str) -> dict[int, tuple[str, int]]:
        found: dict[int, tuple[str, int]] = {}
        marker: str | None = None
        while True:
            listed = self._client._list_parts(
                self._bucket, self._connection.name(key), upload_id, part_number_marker=marker
            )
            found |= {part.part_number: (part.etag.strip('"'), part.size or 0) for part in listed.parts}
            if not listed.is_truncated or not listed.next_part_number_marker:
                return found
            marker = str(listed.next_part_number_marker)

    def _abort_uploads(self, key: str) -> None:
        """Drop what else was begun for an object that is there now: parts cost space until they are dropped."""
        with suppress(MinioException, HTTPError):
            for upload_id in self._uploads(key):
                self._client._abort_multipart_upload(self._bucket, self._connection.name(key), upload_id)


def check_sent(file: Path, digest: "hashlib._Hash", sha256: str) -> None:
    """Refuse a file whose bytes, as they were sent, are not those that it was published for."""
    if digest.hexdigest() != sha256:
        raise DataError(f"{file}: changed while it was being published; publish again")
