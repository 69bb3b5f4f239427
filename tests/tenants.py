"""Two tenants with real servers below one folder and with one file of tokens, as careless as it may be set up."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from htr.tenants import VARIABLE
from serving.client import Client
from tests.conftest import line_png
from tests.servers import RunningServer, model_server

ASKING, ASKED = "claims", "ward-7"
TOKENS = {ASKING: "c" * 32, ASKED: "w" * 32}
PICTURE = line_png("of ward seven", height=64, seed=9)
CORRECTION, REQUEST = "ward-correction-0001", "ward-request-0001"
TEXT, PERSON = "Befund zu Frau Beispiel", "Schwester Agathe"
TRACES = (CORRECTION, REQUEST, TEXT, PERSON, "Beispiel", "Agathe", hashlib.sha256(PICTURE).hexdigest())
"""What may be found in nobody's answers but their own tenant's."""


@dataclass(frozen=True, kw_only=True)
class House:
    """One tenant and its server."""

    tenant: str
    folder: Path
    server: RunningServer

    @property
    def http(self) -> httpx.Client:
        """A client that has its token."""
        return httpx.Client(base_url=self.server.url, headers=bearer(TOKENS[self.tenant]), timeout=60)


def bearer(token: str) -> dict[str, str]:
    """Return the header that sends a token."""
    return {"authorization": f"Bearer {token}"} if token else {}


@contextlib.contextmanager
def house(root: Path, tenant: str, bundle: Path) -> Iterator[House]:
    """Run a tenant's server until the block ends."""
    tokens, folder = root / "tokens", root / tenant
    tokens.write_text("".join(f"{name}/desk: {word}\n" for name, word in TOKENS.items()))
    flags = ("--bundle", str(bundle), "--corrections", str(folder / "corrections"), "--token-file", str(tokens))
    log = ("--log-dir", str(folder / "log"), "--log-images", "1", "--threads", "1", "--write-rate", "0")
    with model_server(*flags, *log, env={VARIABLE: tenant}) as server:
        yield House(tenant=tenant, folder=folder, server=server)


def seed(asked: House) -> None:
    """Give a tenant something that is worth reaching: readings, images, a correction."""
    image = base64.b64encode(PICTURE).decode()
    with asked.http as http:
        read = http.post("/v1/models/htr:predict", json={"instances": [image]}, headers={"x-request-id": REQUEST})
        assert (read.status_code, read.json()["request_id"]) == (200, REQUEST)
        answer = http.post("/v1/corrections", json=correction(CORRECTION))
        assert answer.status_code == 201, answer.text
    found, count = Client(asked.server.url, token=TOKENS[asked.tenant]).corrections()
    assert (count, found[0]["new_text"]) == (1, TEXT)


def correction(name: str, *, text: str = TEXT, author: str = PERSON) -> dict[str, object]:
    """Return a correction of the picture."""
    return {
        "id": name,
        "author": author,
        "image": {"b64": base64.b64encode(PICTURE).decode()},
        "old_text": "x",
        "new_text": text,
        "model_version": "7",
        "bundle_digest": "sha256:" + "b" * 64,
        "request_id": REQUEST,
    }


def contents(folder: Path) -> dict[str, str]:
    """Return every file below a folder, with its digest."""
    files = (one for one in sorted(folder.rglob("*")) if one.is_file())
    return {str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
