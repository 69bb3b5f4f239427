"""A real server under load, killed with SIGKILL while it reads and takes corrections, and started again."""

import base64
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from htr.correction_store import CorrectionStore
from tests.faults.parts import DIGEST, faults, picture
from tests.faults.rounds import Round
from tests.servers import RunningServer, model_server

NUM_LOADING = 3
"""Clients that send lines to read, one after another, beside the one that corrects."""


def server_rounds(bundle: Path, folder: Path, *, seed: int, count: int, seconds: float) -> Iterator[Round]:
    """Play rounds: kill, start again, send again what nobody answered, look through what is there."""
    until = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > until:
            return
        world = folder / f"server-{number}"
        world.mkdir(parents=True)
        after_s = random.Random(f"{seed} {number}").uniform(0.05, 1.5)
        flags = ("--bundle", str(bundle), "--corrections", str(world / "corrections"))
        flags += ("--log-dir", str(world / "log"), "--log-images", "1", "--threads", "1")
        acknowledged: list[str] = []
        read: list[int] = []
        with model_server(*flags) as server:
            senders = [threading.Thread(target=_send, args=(server, acknowledged), daemon=True)]
            senders += [
                threading.Thread(target=_load, args=(server, read), daemon=True) for _ in range(NUM_LOADING)
            ]
            for sender in senders:
                sender.start()
            time.sleep(after_s)
            server.process.kill()
            for sender in senders:
                sender.join(timeout=30)
        before = list(acknowledged)
        with model_server(*flags) as server:
            _send(server, acknowledged, most=len(before) + 3)
        wrong = [*_wrong(world, acknowledged), *faults(world)]
        place = f"{after_s * 1000:.0f} ms, {len(before)} corrections acknowledged, {len(read)} other lines read"
        yield Round(part="server", fault="kill", seed=number, place=place, struck=True, wrong=wrong)
        if not wrong:
            shutil.rmtree(world)


def _send(server: RunningServer, acknowledged: list[str], most: int = 10_000) -> None:
    """Send lines to read and corrections, the same ids from the start, until nobody answers."""
    for number in range(most):
        image = base64.b64encode(picture(number)).decode()
        fields = {"author": "Ada", "old_text": "", "model_version": "1", "bundle_digest": DIGEST}
        fields |= {"id": f"c-{number}", "new_text": f"line {number}"}
        try:
            answer = httpx.post(
                f"{server.url}/v1/corrections", json={**fields, "image": {"b64": image}}, timeout=10
            )
        except httpx.HTTPError:
            return
        answer.raise_for_status()
        acknowledged.append(f"c-{number}")


def _load(server: RunningServer, read: list[int]) -> None:
    """Send lines to read until nobody answers."""
    body = {"instances": [base64.b64encode(picture(number)).decode() for number in range(4)]}
    with httpx.Client(timeout=10) as client:
        while True:
            try:
                answer = client.post(f"{server.url}/v1/models/htr:predict", json=body)
            except httpx.HTTPError:
                return
            assert answer.status_code in {200, 429, 503}, answer.text
            read.append(answer.status_code)


def _wrong(world: Path, acknowledged: list[str]) -> Iterator[str]:
    stored = [one.correction.id for one in CorrectionStore(world / "corrections").read()[0]]
    if len(stored) != len(set(stored)):
        yield "a correction is stored twice"
    if lost := set(acknowledged) - set(stored):
        yield f"acknowledged and lost: {sorted(lost)}"
