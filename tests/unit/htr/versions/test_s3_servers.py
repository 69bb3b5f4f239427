"""Servers that S3 clients meet: some ignore conditions, some are no S3, some are ill. The sound one is Ceph's."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from htr.errors import StoreError
from htr.versions import VersionStore
from tests.store_content import write_a_bundle

connection = pytest.importorskip("htr.versions.s3.connection")


@contextmanager
def server(
    status: int, body: bytes = b"", kind: str = "application/xml", tag: str = '"0"'
) -> Iterator[VersionStore]:
    """Run an HTTP server that gives the same answer to everything; give a store on it."""
    from htr.versions.credentials import S3Settings
    from htr.versions.s3 import S3Objects

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            if tag:
                self.send_header("ETag", tag)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_HEAD = do_DELETE = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        settings = S3Settings(
            endpoint=f"http://127.0.0.1:{running.server_address[1]}",
            region="us-east-1",
            access_key="id",
            secret_key="hush",  # noqa: S106 - is looked for in what is told
            session_token="",
            source="of the test",
        )
        yield VersionStore(S3Objects("s3://team/a", settings=settings))
        running.shutdown()


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    bundle = write_a_bundle(tmp_path / "bundle").path
    told: list[int] = []
    with server(200) as store, pytest.raises(StoreError, match=r"ignores If-None-Match.*lose each other's names"):
        store.publish("bundle", "ours", bundle, on_progress=lambda done, _: told.append(done))
    assert told == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (200, b"<html>hello</html>", "text/html", "answers with a page of HTML"),
        (502, b"<html>bad gateway</html>", "text/html", "failed 1 times over"),
        (404, b"<html>not found</html>", "text/html", "answers with HTTP 404, and not as S3 does"),
        (400, b"no xml", "application/xml", "cannot read index.json"),
        (
            400,
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message></Error>",
            "application/xml",
            "another region than us-east-1.*set AWS_REGION",
        ),
        (
            403,
            b"<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>",
            "application/xml",
            "clock is wrong",
        ),
        (
            403,
            b"<Error><Code>ExpiredToken</Code><Message>hush</Message></Error>",
            "application/xml",
            "refuses the keys of the test",
        ),
        (
            507,
            b"<Error><Code>QuotaExceeded</Code><Message>full\nup for id</Message></Error>",
            "application/xml",
            "refuses to read index.json .QuotaExceeded: full up for [.]{3}",
        ),
    ],
)
def test_what_a_server_refuses_is_told_in_one_line(
    status: int, body: bytes, kind: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RETRIES", 0)
    with server(status, body, kind) as store, pytest.raises(Exception, match=reason) as refused:
        store.names("lines")
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(("kind", "tag"), [("text/html; charset=utf-8", '"0"'), ("text/plain", "")])
def test_a_success_that_is_none_of_s3_is_no_success(tmp_path: Path, kind: str, tag: str) -> None:
    """A proxy that wants a login says 200 to everything: nothing was stored, removed or listed"""
    (file := tmp_path / "file").write_bytes(b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    with server(200, b"<html><body>log in</body></html>", kind, tag) as store:
        objects = store._objects
        acts: list[Callable[[], object]] = [
            lambda: objects.write("a", b"", replacing=None),
            lambda: objects.send("a", file, size=7, sha256=sha256, on_bytes=lambda _: None),
            lambda: objects.read("a"),
            lambda: objects.size("a"),
            lambda: list(objects.pieces("a", 0)),
            lambda: objects.remove("a"),
        ]
        if "html" in kind:  # what a list says bears no tag
            acts.append(lambda: list(objects.kept("blobs/")))
        for act in acts:
            with pytest.raises(StoreError, match="is it S3"):
                act()
