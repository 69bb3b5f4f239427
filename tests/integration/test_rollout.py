"""A rollout over two real servers behind a small proxy that obeys the HTTPRoute; Kubernetes' API is a fake."""

import base64
import contextlib
import json
import random
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from htr.bundle import Bundle, amend_bundle
from htr.lines import LinesWriter
from htr.pretrained import PRETRAINED, resolve
from htr.versions import open_store
from monitoring.__main__ import main
from serving import storage
from tests.conftest import line_png, make_line
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.rollout import ROUTE_PATH, STABLE_PATH, place_release
from tests.servers import RunningServer, model_server, untaught_bundle

POLICY = """
version = 1
steps = [20, 50]
min_requests = 60
min_minutes = 0.0
"""
JSON = {"Content-Type": "application/json"}
TEXTS = ("a plain line", "of dark ink", "on white paper", "read by both", "again and again")


@contextlib.contextmanager
def weighted(api: KubernetesApi, stable: str, canary: str) -> Iterator[str]:
    """Serve a proxy that splits POSTs by the route's weights, as a gateway does; yields its address."""
    dice = random.Random(3)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            refs = api.objects[ROUTE_PATH]["spec"]["rules"][0]["backendRefs"]
            url = dice.choices((stable, canary), [ref["weight"] for ref in refs])[0]
            request = urllib.request.Request(url + self.path, body, JSON)  # noqa: S310
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - on this machine
                data = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def send(url: str, number: int) -> None:
    """Have so many lines read."""
    for count in range(number):
        image = base64.b64encode(line_png(TEXTS[count % len(TEXTS)], seed=count % 20)).decode()
        body = json.dumps({"instances": [image]}).encode()
        request = urllib.request.Request(f"{url}/v1/models/htr:predict", body, JSON)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - on this machine
            assert answer.status == 200


def commands(
    api: KubernetesApi, folder: Path, stable: RunningServer, canary: RunningServer
) -> tuple[list[str], list[str]]:
    """Return the arguments of ``rollout start`` and of ``rollout step``."""
    folder.mkdir()
    (folder / "policy.toml").write_text(POLICY)
    parts = ["--state", str(folder / "state"), "--kubernetes", api.url, "--tracking-uri", ""]
    parts += ["--probe", str(folder.parent / "probes"), "--stable-url", stable.url, "--canary-url", canary.url]
    return (
        ["rollout", "start", *parts, "--policy", str(folder / "policy.toml")],
        ["rollout", "step", *parts],
    )


@pytest.mark.slow
def test_behind_a_real_split_an_equal_bundle_is_promoted_and_a_worse_one_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path / "store")
    equal = amend_bundle(Bundle.open(resolve(PRETRAINED)), tmp_path / "equal", {}, git_commit="another")
    worse = untaught_bundle(tmp_path / "worse", seed=1)
    uris = {}
    for name, bundle in (("stable", resolve(PRETRAINED)), ("equal", equal.path), ("worse", worse)):
        uris[name] = store.publish("bundle", "quillflow", bundle).uri
        storage.fetch(uris[name], tmp_path / name / "models")
    options = ("--pages", "off", "--threads", "1")
    with kubernetes_api() as api, contextlib.ExitStack() as running:
        servers = {
            name: running.enter_context(model_server("--bundle", str(tmp_path / name / "models"), *options))
            for name in uris
        }
        send(servers["stable"].url, 110)
        with LinesWriter(tmp_path / "probes") as out:
            for number in range(40):
                out.add(make_line(f"{TEXTS[number % len(TEXTS)]} {number}", number))
        for name, result in (("worse", "rolled_back"), ("equal", "promoted")):
            place_release(api, uris["stable"], uris[name])
            start, step = commands(api, tmp_path / f"rollout-{name}", servers["stable"], servers[name])
            assert main(start) == 0
            with weighted(api, servers["stable"].url, servers[name].url) as url:
                for _ in range(12):
                    assert main(step) == 0
                    capsys.readouterr()
                    main(["rollout", "status", "--json", "--state", step[3]])
                    status = json.loads(capsys.readouterr().out)
                    if status["phase"] in {"ended", "settling"}:
                        break
                    send(url, 160)
            told = uris["stable"] if name == "worse" else uris[name]
            assert api.objects[STABLE_PATH]["spec"]["predictor"]["model"]["storageUri"] == told
            if name == "worse":
                assert status["results"][uris[name][-64:]][0] == result, status
                assert "disagreement" in status["reason"]
            else:
                assert status["phase"] == "settling", status
                assert status["weights"] == {"stable": 0, "canary": 100}
                # What KServe would do: the stable server comes back with the bundle that it is told to serve.
                api.ready(STABLE_PATH)
                step[step.index("--stable-url") + 1] = servers["equal"].url
                assert main(step) == 0
                assert "promoted" in capsys.readouterr().out
                refs = api.objects[ROUTE_PATH]["spec"]["rules"][0]["backendRefs"]
                assert [ref["weight"] for ref in refs] == [100, 0]
