"""Versions in a bucket, of any S3 server that honours If-None-Match and If-Match: AWS, MinIO, Ceph and others.

Files above 8 MiB go in parts. An upload that was killed is looked up at the server and taken up: parts that are
there already are compared by their checksums and not sent again. The client's own `put_object` begins anew each
time, so its single requests are used here; it is pinned to one release for that.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry, Timeout

from htr.errors import DataError, StoreError
from htr.versions.addresses import bucket_and_prefix
from htr.versions.credentials import S3Settings, s3_settings
from htr.versions.objects import OnBytes, Stored
from htr.versions.records import MAX_BYTES

PART = 8 << 20
"""Bytes of a part; larger where a file would have more than MAX_PARTS of them."""
MAX_PARTS = 10_000
CONNECT_S, READ_S, RETRIES = 5.0, 30.0, 3
"""Seconds to wait for a connection and for an answer, and how often a request is tried again."""
_MARK = "store.json"
_MARK_CONTENT = b'{"format_version": 1, "store": "quillflow"}\n'
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "ConcurrentModification", "OperationAborted"}
"""What servers say where somebody else was there first."""
_KEYS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "InvalidSecurity"}
_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "Redirect", "IllegalLocationConstraintException"}


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
        self._bucket, self._prefix = bucket_and_prefix(uri)
        self._settings = settings or s3_settings(os.environ)
        self._sleep = sleep
        self._client = _client(self._settings)
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
                f"{self._shown}: the server ignores {next(iter(condition))}, so that two who publish at once "
                "could lose each other's names; update it, or use another server"
            )

    def read(self, key: str) -> Stored | None:
        """Return a small object."""
        with self._failures(f"read {key}"):
            try:
                response = self._client.get_object(self._bucket, self._prefix + key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            try:
                data = response.read(MAX_BYTES + 1)
                tag = response.headers.get("etag", "").strip('"')
            finally:
                response.close()
        if len(data) > MAX_BYTES:
            raise StoreError(f"{self._shown}: {key} is larger than {MAX_BYTES >> 20} MiB, which none of ours is")
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
        with self._failures(f"look for {key}"):
            try:
                return self._client.stat_object(self._bucket, self._prefix + key).size
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        """Upload a file, in parts where it is large."""
        try:
            with file.open("rb") as stream:
                if size <= PART:
                    data = stream.read(PART + 1)
                    _check(file, hashlib.sha256(data), sha256)
                    self._put(key, data, {})
                    on_bytes(size)
                else:
                    self._send_parts(key, file, stream, size=size, sha256=sha256, on_bytes=on_bytes)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        """Yield an object's bytes; where the connection breaks, it goes on from there."""
        place, failures = start, 0
        while True:
            with self._failures(f"read {key}"):
                try:
                    response = self._client.get_object(self._bucket, self._prefix + key, offset=place)
                except S3Error as error:
                    if error.code == "NoSuchKey":
                        raise FileNotFoundError(key) from error
                    raise
                try:
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
        with self._failures(f"write {key}"):
            try:
                self._client._put_object(self._bucket, self._prefix + key, data, dict(headers))
            except S3Error as error:
                if headers and error.code in _LOST | {"NoSuchKey"}:
                    return False
                raise
        return True

    def _send_parts(
        self, key: str, file: Path, stream: io.BufferedReader, *, size: int, sha256: str, on_bytes: OnBytes
    ) -> None:
        step = max(PART, -(-size // MAX_PARTS))
        for last in (False, False, True):
            stream.seek(0)
            sent = 0
            upload_id, there = self._begun_upload(key)
            digest, parts = hashlib.sha256(), []
            try:
                with self._failures(f"write {key}", passing={"NoSuchUpload"}):
                    for number in range(1, -(-size // step) + 1):
                        data = stream.read(step)
                        digest.update(data)
                        parts.append(Part(number, self._part(key, upload_id, number, data, there)))
                        sent += len(data)
                        on_bytes(len(data))
                    self._drop_unless_same(key, upload_id, file, digest, sha256)
                    self._client._complete_multipart_upload(self._bucket, self._prefix + key, upload_id, parts)
            except (StoreError, S3Error) as error:
                # Somebody else who sends the same file may have finished this upload, or the answer was lost.
                if self.size(key) != size:
                    if last or not isinstance(error, S3Error):
                        raise
                    on_bytes(-sent)
                    continue
                on_bytes(size - sent)
            self._abort_uploads(key)
            return

    def _part(self, key: str, upload_id: str, number: int, data: bytes, there: dict[int, tuple[str, int]]) -> str:
        """Send a part, unless the server has it; return its ETag."""
        checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if there.get(number) == (checksum, len(data)):
            return checksum
        return self._client._upload_part(self._bucket, self._prefix + key, data, None, upload_id, number)

    def _drop_unless_same(
        self, key: str, upload_id: str, file: Path, digest: "hashlib._Hash", sha256: str
    ) -> None:
        try:
            _check(file, digest, sha256)
        except DataError:
            self._client._abort_multipart_upload(self._bucket, self._prefix + key, upload_id)
            raise

    def _begun_upload(self, key: str) -> tuple[str, dict[int, tuple[str, int]]]:
        """Return the upload of this object that has come farthest, or a new one; and its parts."""
        best = ""
        parts: dict[int, tuple[str, int]] = {}
        with self._failures(f"write {key}"):
            for upload_id in self._uploads(key):
                with suppress(S3Error):  # finished or dropped by somebody else a moment ago
                    found = self._parts(key, upload_id)
                    if not best or len(found) > len(parts):
                        best, parts = upload_id, found
            if not best:
                best = self._client._create_multipart_upload(self._bucket, self._prefix + key, {})
        return best, parts

    def _uploads(self, key: str) -> list[str]:
        name = self._prefix + key
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
                self._bucket, self._prefix + key, upload_id, part_number_marker=marker
            )
            found |= {part.part_number: (part.etag.strip('"'), part.size or 0) for part in listed.parts}
            if not listed.is_truncated or not listed.next_part_number_marker:
                return found
            marker = str(listed.next_part_number_marker)

    def _abort_uploads(self, key: str) -> None:
        """Drop what else was begun for an object that is there now: parts cost space until they are dropped."""
        with suppress(MinioException, HTTPError):
            for upload_id in self._uploads(key):
                self._client._abort_multipart_upload(self._bucket, self._prefix + key, upload_id)

    @property
    def _shown(self) -> str:
        return f"{self.uri} at {self._settings.endpoint}"

    @contextmanager
    def _failures(self, wanted: str, passing: set[str] | None = None) -> Iterator[None]:
        """Tell in one line what the server refuses, or that it is away; never what was sent."""
        try:
            yield
        except S3Error as error:
            if error.code in (passing or ()):
                raise
            raise StoreError(f"{self._shown}: {self._refusal(error, wanted)}") from None
        except InvalidResponseError as error:
            status = error._code
            raise StoreError(f"{self._shown}: answers with HTTP {status}, and not as S3 does; is it S3?") from None
        except (ServerError, ParseError, ValueError) as error:
            raise StoreError(f"{self._shown}: cannot {wanted}: {error}") from None
        except HTTPError as error:
            raise StoreError(f"{self._shown}: {_absence(error)}; is it up and reachable from here?") from None

    def _refusal(self, error: S3Error, wanted: str) -> str:
        code = error.code or "unknown error"
        if code in _KEYS:
            return f"refuses the keys {self._settings.source} ({code}); check AWS_ACCESS_KEY_ID and its secret"
        if code == "AccessDenied":
            return f"the account {self._settings.source} may not {wanted} ({code}); ask for the right to"
        if code == "NoSuchBucket":
            return f"there is no bucket {self._bucket}; make it, or check the address"
        if code == "RequestTimeTooSkewed":
            return f"says that this machine's clock is wrong ({code}); set it"
        if code in _REGION:
            return f"the bucket is in another region than {self._settings.region} ({code}); set AWS_REGION"
        return f"refuses to {wanted} ({code}{': ' + error.message if error.message else ''})"


def _client(settings: S3Settings) -> Minio:
    scheme, _, host = settings.endpoint.partition("://")
    pool = urllib3.PoolManager(
        timeout=Timeout(connect=CONNECT_S, read=READ_S),
        maxsize=4,
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or None,
        retries=Retry(total=RETRIES, backoff_factor=0.3, redirect=0, status_forcelist=[429, 500, 502, 503, 504]),
    )
    return Minio(
        host,
        settings.access_key,
        settings.secret_key,
        session_token=settings.session_token or None,
        secure=scheme == "https",
        region=settings.region,
        http_client=pool,
    )


def _absence(error: HTTPError) -> str:
    """Return in a few words why there is no answer."""
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    known = {
        "NameResolutionError": "no such host",
        "NewConnectionError": "cannot be reached",
        "ConnectTimeoutError": f"no connection within {CONNECT_S:.0f} s",
        "ReadTimeoutError": f"no answer within {READ_S:.0f} s",
        "ProtocolError": "the connection broke",
        "IncompleteRead": "the connection broke",
        "SSLError": "its certificate is not to be trusted, or it does not speak TLS",
        "ResponseError": f"failed {RETRIES + 1} times over ({reason})",
    }
    return known.get(type(reason).__name__, type(reason).__name__)


def _check(file: Path, digest: "hashlib._Hash", sha256: str) -> None:
    if digest.hexdigest() != sha256:
        raise DataError(f"{file}: changed while it was being published; publish again")
