"""What somebody who means harm would send, each tried on the real thing that would take it.

An attack returns what was said when it was refused, and raises AssertionError where it was not.
"""

import base64
import io
import json
import pickle
import shutil
import socket
import struct
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import numpy as np

from htr.bundle import MANIFEST, ONNX, WEIGHTS
from htr.errors import QuillflowError
from htr.importers.manifest import import_manifest
from htr.importers.page_folder import import_page_folder
from htr.lines import LinesDataset, file_sha256
from htr.plain_xml import parse_xml
from htr.recogniser import Recogniser
from htr.signing import make_keys, sign_bundle, verify_bundle
from monitoring.governor.journal import read_journal
from monitoring.governor.metrics import GovernorMetrics
from monitoring.governor.receiver import make_server
from monitoring.governor.service import Service
from tests.conftest import line_png
from tests.governor import FolderCluster, SetLabels, SetRegistry, make_governor
from tests.servers import RunningServer

SECRET = "a-token-that-nobody-guesses"  # noqa: S105 - of a test
FORGED = "evil.example:8080"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What attacks are tried on: a folder of their own, a whole bundle, and a server that asks for no token."""

    folder: Path
    bundle: Path
    server: RunningServer

    def own(self, name: str) -> Path:
        place = self.folder / name.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def copy(self, name: str) -> Path:
        return shutil.copytree(self.bundle, self.own(name) / "bundle")


class Trap:
    """Unpickled, it leaves a file behind: the proof that a stranger's code has run."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self._sprung,))


def refused(act: Callable[[], object]) -> str:
    """Return why our code refused to do something."""
    try:
        act()
    except QuillflowError as error:
        return str(error)
    raise AssertionError("it was taken")


def pickle_as(file: str, *, relisted: bool) -> Callable[[Ground], str]:
    """Put a pickle in the place of a bundle's file."""

    def attack(ground: Ground) -> str:
        bundle = ground.copy(f"pickle-{file}")
        sprung = bundle.parent / "sprung"
        (bundle / file).write_bytes(pickle.dumps(Trap(sprung)))
        if relisted and file != MANIFEST:
            manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
            manifest["files"][file] = file_sha256(bundle / file)
            if file == "ngram.npz":
                manifest["decoding"] = {"beam": 4, "ngram_weight": 0.5, "insertion_bonus": 0.0}
            (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

        def use() -> None:
            recogniser = Recogniser.load(bundle)
            if file == WEIGHTS:  # reading does not open them; training from the bundle does
                from htr.export import load_net

                load_net(recogniser.bundle)

        said = refused(use)
        assert not sprung.exists(), "a pickle was run"
        return said

    return attack


def object_array(ground: Ground) -> str:
    bundle = ground.copy("pickle-array")
    sprung = bundle.parent / "sprung"
    out = io.BytesIO()
    np.savez(out, counts_1=np.array([Trap(sprung)], object))
    (bundle / "ngram.npz").write_bytes(out.getvalue())
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"]["ngram.npz"] = file_sha256(bundle / "ngram.npz")
    manifest["decoding"] = {"beam": 4, "ngram_weight": 0.5, "insertion_bonus": 0.0}
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    said = refused(lambda: Recogniser.load(bundle).read([line_png("a")]))
    assert not sprung.exists(), "a pickle was run"
    return said


def altered_after_signing(ground: Ground) -> str:
    bundle = ground.copy("altered")
    private, public = make_keys(bundle.parent / "keys")
    sign_bundle(bundle, private)
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    manifest["alphabet"].reverse()
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    Recogniser.load(bundle)  # by its own digests nothing is wrong with it
    return refused(lambda: verify_bundle(bundle, public))


def xml(name: str, content: str) -> Callable[[Ground], str]:
    def attack(ground: Ground) -> str:
        file = ground.own(name) / "page.xml"
        (file.parent / "secret.txt").write_text("secret")
        file.write_text(content.replace("SECRET", (file.parent / "secret.txt").as_uri()))
        refused(lambda: import_page_folder(file.parent, file.parent / "out"))
        return refused(lambda: parse_xml(file))

    return attack


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHING = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>'
FETCHING = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "SECRET">]><a>&x;</a>'


def png_of(width: int, height: int) -> bytes:
    """Return a PNG of few bytes that claims, and has, very many white pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), b"\0" + b"\xff" * width
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bomb_served(ground: Ground) -> str:
    image = base64.b64encode(png_of(20_000, 20_000)).decode()
    return turned_away(httpx.post(f"{ground.server.url}/v1/models/htr:predict", json={"instances": [image]}), 413)


def bomb_imported(ground: Ground) -> str:
    folder = ground.own("bomb")
    (folder / "bomb.png").write_bytes(png_of(20_000, 20_000))
    return quarantined(folder, "bomb.png")


def quarantined(folder: Path, name: str) -> str:
    """Import a table that names an image beside a good one; return why that row was left out."""
    (folder / "good.png").write_bytes(line_png("good"))
    table = folder / "table.csv"
    table.write_text(f"file_name,text\ngood.png,good\n{name},bad\n")
    import_manifest(table, folder / "out")
    assert [line.text for line in LinesDataset.open(folder / "out").lines()] == ["good"]
    return (folder / "out" / "quarantine.csv").read_text().splitlines()[1]


def climbing_tar(ground: Ground) -> str:
    folder = ground.own("tar")
    target, image = folder / "landed.png", line_png("evil")
    with tarfile.open(folder / "images.tar", "w") as tar:
        for name in ("good.png", "../landed.png", str(target)):
            member = tarfile.TarInfo(name)
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    inner = folder / "inner"
    inner.mkdir()
    shutil.move(folder / "images.tar", inner / "images.tar")
    (inner / "table.csv").write_text(
        f"file_name,text\ngood.png,good\n../landed.png,bad\n{target},bad\nlink.png,bad\n"
    )
    import_manifest(inner / "table.csv", inner / "out")
    assert not target.exists(), "it wrote outside"
    assert [line.text for line in LinesDataset.open(inner / "out").lines()] == ["good"]
    return (inner / "out" / "quarantine.csv").read_text().splitlines()[1]


def climbing_table(ground: Ground) -> str:
    folder = ground.own("climb") / "inner"
    folder.mkdir()
    (folder.parent / "secret.png").write_bytes(line_png("secret"))
    return quarantined(folder, "../secret.png")


def hostile_cell(ground: Ground) -> str:
    """A text that a spreadsheet would run as a formula is only text here, and no file name."""
    return quarantined(ground.own("cell"), "=HYPERLINK('http://evil.example')")


def turned_away(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, f"answered {answer.status_code}: {answer.text[:200]}"
    return f"{status} {answer.json()['error']}"


def other_site(ground: Ground) -> str:
    headers = {"origin": "http://evil.example"}
    return turned_away(httpx.post(f"{ground.server.url}/v1/models/htr:predict", json={}, headers=headers), 403)


def rebound_name(ground: Ground) -> str:
    """A page of evil.example after its name points to 127.0.0.1: to the browser it asks its own site."""
    headers = {"host": FORGED, "origin": f"http://{FORGED}"}
    for path in ("/v1/corrections", "/metrics", "/v1/models/htr"):
        turned_away(httpx.get(f"{ground.server.url}{path}", headers=headers), 403)
    return turned_away(httpx.post(f"{ground.server.url}/v1/corrections", json={}, headers=headers), 403)


def huge_body(ground: Ground) -> str:
    def endless() -> Iterator[bytes]:
        for _ in range(80):
            yield b" " * 2**20

    return turned_away(httpx.post(f"{ground.server.url}/v1/models/htr:predict", content=endless()), 413)


def said_to_be_huge(ground: Ground) -> str:
    url = httpx.URL(ground.server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as client:
        client.sendall(
            b"POST /v1/models/htr:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        )
        head = client.recv(4096).decode(errors="replace")
    assert " 413 " in head.splitlines()[0]
    return head.splitlines()[0]


def huge_message(ground: Ground) -> str:
    with grpc.insecure_channel(ground.server.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer = infer.future(b"\0" * (9 * 2**20), timeout=20)
        assert answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return f"RESOURCE_EXHAUSTED {answer.details()}"


def unloading(ground: Ground) -> str:
    return turned_away(httpx.post(f"{ground.server.url}/v2/repository/models/htr/unload", json={}), 403)


@contextmanager
def governor_at(folder: Path, *, token: str | None) -> Iterator[tuple[str, Path]]:
    """Serve a real governor in this process; yields its address and its state folder."""
    state = folder / "state"
    governor = make_governor(state, FolderCluster(folder / "runs"), labels=SetLabels(), registry=SetRegistry())
    governor.turn()
    service = Service(governor=governor, metrics=GovernorMetrics(governor=governor).text, token=token)
    server = make_server(service, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        server.server_close()


def replayed_webhook(ground: Ground) -> str:
    alert = {"status": "firing", "labels": {"alertname": "HandwritingDrift", "bundle_digest": "A"}}
    alert |= {"startsAt": "2026-11-20T12:00:00Z", "annotations": {}}
    body = {"version": "4", "groupKey": "g", "status": "firing", "alerts": [alert]}
    headers = {"authorization": f"Bearer {SECRET}"}
    with governor_at(ground.own("replay"), token=SECRET) as (url, state):
        turned_away(httpx.post(f"{url}/v1/alerts", json=body), 401)
        httpx.post(f"{url}/v1/alerts", json=body, headers=headers).raise_for_status()
        again = [httpx.post(f"{url}/v1/alerts", json=body, headers=headers).json() for _ in range(20)]
        acted = [r for r in read_journal(state) if r.event.KIND == "alert" and r.decision.choice != "ignore"]
    assert {one["decisions"][0]["decision"] for one in again} == {"ignore"}
    assert len(acted) == 1, "a replay was acted on"
    return f"ignored 20 times: {again[-1]['decisions'][0]['reason']}"


def rebound_governor(ground: Ground) -> str:
    with governor_at(ground.own("rebound"), token=None) as (url, _):
        httpx.get(f"{url}/v1/state").raise_for_status()
        turned_away(httpx.post(f"{url}/v1/wishes", json={"id": "x"}, headers={"host": FORGED}), 403)
        return turned_away(httpx.get(f"{url}/v1/state", headers={"host": FORGED}), 403)


def page_to_governor(ground: Ground) -> str:
    with governor_at(ground.own("page"), token=None) as (url, _):
        plain = {"content-type": "text/plain"}
        turned_away(httpx.post(f"{url}/v1/wishes", content='{"id": "x"}', headers=plain), 415)
        site = {"origin": "http://evil.example"}
        return turned_away(httpx.post(f"{url}/v1/wishes", json={"id": "x"}, headers=site), 403)


ATTACKS: dict[str, Callable[[Ground], str]] = {
    "bundle: a pickle for the manifest": pickle_as(MANIFEST, relisted=False),
    "bundle: a pickle for the graph": pickle_as(ONNX, relisted=True),
    "bundle: a pickle for the graph, not listed anew": pickle_as(ONNX, relisted=False),
    "bundle: a pickle for the weights": pickle_as(WEIGHTS, relisted=True),
    "bundle: a pickle for the language model": pickle_as("ngram.npz", relisted=True),
    "bundle: a pickled array in the language model": object_array,
    "bundle: altered after it was signed": altered_after_signing,
    "import: XML that laughs a billion times": xml("laughs", LAUGHING),
    "import: XML that fetches a file": xml("fetch", FETCHING),
    "import: a PNG of 400 million pixels": bomb_imported,
    "import: a tar that climbs out": climbing_tar,
    "import: a table that climbs out": climbing_table,
    "import: a cell that is a formula": hostile_cell,
    "server: a PNG of 400 million pixels": bomb_served,
    "server: a page of another site": other_site,
    "server: a foreign Host, as after DNS rebinding": rebound_name,
    "server: a body of 80 MiB in pieces": huge_body,
    "server: a body that says it has 100 GB": said_to_be_huge,
    "server: a gRPC message of 9 MiB": huge_message,
    "server: unloading the model": unloading,
    "governor: a webhook replayed": replayed_webhook,
    "governor: a foreign Host, as after DNS rebinding": rebound_governor,
    "governor: a page of another site": page_to_governor,
}
