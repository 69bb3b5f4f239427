"""A real S3 server, Ceph's gateway, that is slow, refuses or lies while versions are published and fetched."""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from minio import Minio

from htr.errors import QuillflowError
from htr.versions import open_store
from htr.versions.s3 import S3Objects, connection
from tests.ceph import Gateway, gateway
from tests.faults.fate import Fate
from tests.faults.lying import lying_proxy
from tests.store_content import names_if_whole, write_a_bundle

BUCKET = "faults"
KINDS = ("refuse", "lie", "slow", "hang up", "cut", "short", "wrong", "page")
PATIENCE_S = 1.0
"""How long an answer is waited for here; 30 s elsewhere."""
LARGE = 9 << 20
"""Bytes of a file that is sent in parts."""


@contextmanager
def served(folder: Path) -> Iterator[Gateway]:
    """Run the gateway, with a bucket, until the block ends."""
    with gateway(folder) as running:
        who = running.owner
        host = running.endpoint.removeprefix("http://")
        Minio(host, who.access_key, who.secret_key, secure=False, region="us-east-1").make_bucket(BUCKET)
        yield running


def play(running: Gateway, folder: Path, rng: random.Random, fault: str) -> tuple[Fate, list[str]]:
    """Publish two bundles under a name and a third at once with them, fetch them; return what is wrong then."""
    fate = Fate(rng, fault, KINDS, within=24)
    place = f"s3://{BUCKET}/{folder.name}"
    weights = [rng.randbytes(LARGE if rng.random() < 0.3 else 2000) for _ in range(2)]
    bundles = [
        write_a_bundle(folder / f"bundle-{number}", weights=data).path for number, data in enumerate(weights)
    ]
    before = (connection.READ_S, connection.CONNECT_S)
    try:
        connection.READ_S = connection.CONNECT_S = PATIENCE_S
        with lying_proxy(running.endpoint, fate, slow_s=PATIENCE_S * 1.5) as url, _as(running, url):
            digests = []
            for bundle in bundles:
                version = fate.retried(lambda bundle=bundle: open_store(place).publish("bundle", "ours", bundle))  # type: ignore[misc]
                digests.append(version.digest)
            for number, digest in enumerate(digests):
                out = folder / f"fetched-{number}"
                fate.retried(lambda digest=digest, out=out: _fetch(fate, place, digest, out))  # type: ignore[misc]
    except QuillflowError as error:
        return fate, [f"it does not recover: {error}"]
    finally:
        connection.READ_S, connection.CONNECT_S = before
    return fate, [*fate.wrong, *_wrong(running, place, digests, bundles, folder)]


def _fetch(fate: Fate, place: str, digest: str, out: Path) -> None:
    try:
        open_store(place).fetch("bundle", digest, out)
    except QuillflowError:
        if out.exists():
            fate.wrong.append(f"a fetch that failed left {out.name}")
        raise


def _wrong(running: Gateway, place: str, digests: list[str], bundles: list[Path], folder: Path) -> Iterator[str]:
    """Look at the store itself, without the proxy."""
    with _as(running, running.endpoint):
        store = open_store(place)
        if [entry.digest for entry in store.history("bundle", "ours")] != digests:
            yield f"the name has stood for {store.history('bundle', 'ours')}, published were {digests}"
        if len(store) != len(set(digests)):
            yield f"{len(store)} versions of {len(digests)}"
        yield from (f"{one.kind}: {one.key}: {one.said}" for one in store.check(deep=True))
        names_if_whole(S3Objects(place))
    for number, bundle in enumerate(bundles):
        if _content(bundle) != _content(folder / f"fetched-{number}"):
            yield f"bundle {number} was fetched with other bytes"


def _content(folder: Path) -> Mapping[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def _as(running: Gateway, url: str) -> Iterator[None]:
    """Let clients find the gateway at an address."""
    before = dict(os.environ)
    os.environ.update(running.environment() | {"AWS_ENDPOINT_URL": url})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
