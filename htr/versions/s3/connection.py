"""One bucket of one server: bounded waiting, and failures told in one line that repeats nothing secret."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry, Timeout

from htr.errors import StoreError
from htr.versions.addresses import bucket_and_prefix
from htr.versions.credentials import S3Settings

CONNECT_S, READ_S, RETRIES = 5.0, 30.0, 3
"""Seconds to wait for a connection and for an answer, and how often a request is tried again."""
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "ConcurrentModification", "OperationAborted"}
"""What servers say where somebody else was there first."""
_KEYS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "InvalidSecurity"}
_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "Redirect", "IllegalLocationConstraintException"}


class Connection:
    """Client, bucket and prefix of a store.

    Args:
        uri: ``s3://BUCKET/PREFIX``.
        settings: server and account.
    """

    def __init__(self, uri: str, settings: S3Settings) -> None:
        self.uri = uri
        self.bucket, self._prefix = bucket_and_prefix(uri)
        self._settings = settings
        self.client = _client(settings)

    def name(self, key: str) -> str:
        """Return an object's name in the bucket."""
        return self._prefix + key

    @property
    def shown(self) -> str:
        """The store's address and the server's."""
        return f"{self.uri} at {self._settings.endpoint}"

    @contextmanager
    def failures(self, wanted: str, passing: set[str] | None = None) -> Iterator[None]:
        """Tell in one line what the server refuses, or that it is away; never what was sent."""
        try:
            yield
        except S3Error as error:
            if error.code in (passing or ()):
                raise
            raise StoreError(f"{self.shown}: {self._refusal(error, wanted)}") from None
        except InvalidResponseError as error:
            status = error._code
            raise StoreError(f"{self.shown}: answers with HTTP {status}, and not as S3 does; is it S3?") from None
        except (ServerError, ParseError, ValueError) as error:
            raise StoreError(f"{self.shown}: cannot {wanted}: {error}") from None
        except HTTPError as error:
            raise StoreError(f"{self.shown}: {_absence(error)}; is it up and reachable from here?") from None

    def check_tag(self, tag: str | None, wanted: str) -> None:
        """Refuse a success without an ETag: S3 gives one, a page where somebody is to log in does not.

        Raises:
            StoreError: whoever answered, it was not the store, and nothing was done.
        """
        if not (tag or "").strip('"'):
            raise StoreError(f"{self.shown}: was asked to {wanted}, and answers not as S3 does; is it S3?")

    def _refusal(self, error: S3Error, wanted: str) -> str:
        code = error.code or "unknown error"
        if code in _KEYS:
            return f"refuses the keys {self._settings.source} ({code}); check AWS_ACCESS_KEY_ID and its secret"
        if code == "AccessDenied":
            return f"the account {self._settings.source} may not {wanted} ({code}); ask for the right to"
        if code == "NoSuchBucket":
            return f"there is no bucket {self.bucket}; make it, or check the address"
        if code == "RequestTimeTooSkewed":
            return f"says that this machine's clock is wrong ({code}); set it"
        if code in _REGION:
            return f"the bucket is in another region than {self._settings.region} ({code}); set AWS_REGION"
        # A server may say what it likes, over many lines, and repeat what it was sent.
        message = " ".join((error.message or "").split())[:200].replace(self._settings.access_key, "...")
        return f"refuses to {wanted} ({code}{': ' + message if message else ''})"


class _Pool(urllib3.PoolManager):
    """Takes no page of HTML for an answer: a proxy that wants a login sends one, and calls it a success."""

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
        response = super().urlopen(method, url, redirect=redirect, **options)
        if response.status < 300 and response.headers.get("content-type", "").lower().startswith("text/html"):
            response.close()
            raise StoreError(
                f"{url.partition('?')[0]}: answers with a page of HTML, and not as S3 does; is it S3?"
            )
        return response


def _client(settings: S3Settings) -> Minio:
    scheme, _, host = settings.endpoint.partition("://")
    pool = _Pool(
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
