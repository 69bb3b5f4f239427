"""Metrics pages of two real servers, recorded before and after a known number of requests.

    python -m tests.recorded_metrics     writes tests/golden/metrics-1 anew

The first server reads with the shipped model, the second with one that was taught nothing. Each gets LINES
requests of one line, one of a blank sheet and one of bytes that are no image, between the first page and the
second. Of a page only those series are kept that begin with ``quillflow_`` or ``process_start_time``.
"""

import base64
import contextlib
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from htr.pretrained import PRETRAINED, resolve
from tests.conftest import line_png
from tests.servers import ROOT, model_server, untaught_bundle

GOLDEN = ROOT / "tests" / "golden" / "metrics-1"
LINES = 30
_KEPT = ("quillflow_", "# TYPE quillflow_", "# HELP quillflow_", "process_start_time")


def main() -> None:
    """Record all four pages."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        bundles = {"stable": resolve(PRETRAINED), "canary": untaught_bundle(Path(folder) / "bundle", seed=1)}
        for arm, bundle in bundles.items():
            with model_server("--bundle", str(bundle), "--pages", "off", "--threads", "1") as server:
                _send(server.url, line_png("warmed up"))
                _keep(server.url, GOLDEN / f"{arm}-1.txt")
                for number in range(LINES):
                    _send(server.url, line_png(f"line {number}", seed=number))
                _send(server.url, line_png(""))
                with contextlib.suppress(urllib.error.HTTPError):
                    _send(server.url, b"no image")
                _keep(server.url, GOLDEN / f"{arm}-2.txt")


def _send(url: str, image: bytes) -> None:
    body = json.dumps({"instances": [base64.b64encode(image).decode()]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/models/htr:predict", body, headers)  # noqa: S310 - on this machine
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def _keep(url: str, file: Path) -> None:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    file.write_text("\n".join(line for line in lines if line.startswith(_KEPT)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
