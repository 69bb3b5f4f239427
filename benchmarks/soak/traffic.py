"""What the services are told: lines to read at random moments, corrections of some, and what clients see of it."""

import base64
import json
import random
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving_load import Client

PREDICT, CORRECT = "/v1/models/htr:predict", "/v1/corrections"
NUM_CLIENTS = 4
MOST_ERRORS = 100
_WORK = 300_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request and what came of it."""

    at: float
    """Seconds since the soak began."""
    status: int
    seconds: float
    request_id: str
    what: str
    """``line`` or ``correction``."""


class Traffic:
    """Sends lines at random moments, so many a second; every n-th is corrected.

    Args:
        url: of the server.
        images: sent in turn.
        texts: what they say: what they are corrected to.
        per_second: lines, on average.
        correct_every: of so many lines one is corrected.
        begun: moment (monotonic) from which times are counted.
        seed: of the moments.
    """

    def __init__(
        self, url: str, images: Sequence[bytes], texts: Sequence[str], *, per_second: float, correct_every: int,
        begun: float, seed: int,
    ) -> None:  # fmt: skip
        self.asked: list[Asked] = []
        self.errors: list[str] = []
        self._bodies = [base64.b64encode(image).decode() for image in images]
        self._texts, self._url, self._begun = texts, url, begun
        self._per_second, self._correct_every = per_second, correct_every
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._number, self._due = 0, time.monotonic() - begun
        self._until = 0.0

    def run(self, until: float) -> None:
        """Send until so many seconds after the soak began; what fails is noted in ``errors``."""
        self._until = until
        threads = [threading.Thread(target=self._send) for _ in range(NUM_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _next(self) -> tuple[int, float]:
        with self._lock:
            self._number += 1
            self._due += self._rng.expovariate(self._per_second)
            return self._number, self._due

    def _send(self) -> None:
        lines = Client(self._url, PREDICT)
        while len(self.errors) < MOST_ERRORS:
            number, due = self._next()
            if due > self._until:
                break
            time.sleep(max(0.0, due - (time.monotonic() - self._begun)))
            try:
                self._ask(number, lines)
            except Exception as error:  # whatever it was, it is judged by the figures and ends nothing
                at = time.monotonic() - self._begun
                self.errors.append(f"after {at:.0f} s: {type(error).__name__}: {error}")
                lines.close()
        lines.close()

    def _ask(self, number: int, lines: Client) -> None:
        image = self._bodies[number % len(self._bodies)]
        at = time.monotonic() - self._begun
        body = json.dumps({"instances": [{"image": {"b64": image}}]}).encode()
        answer = lines.send(body, number)
        request_id = str(answer.body.get("request_id", ""))
        self._keep(at, answer.status, answer.seconds, request_id, "line")
        if number % self._correct_every or answer.status != 200:
            return
        sent = {
            "id": str(uuid.UUID(int=self._rng.getrandbits(128))), "author": "soak", "image": {"b64": image},
            "old_text": answer.body["predictions"][0]["text"], "new_text": self._texts[number % len(self._texts)],
            "model_version": answer.body["model_version"], "bundle_digest": answer.body["bundle_digest"],
            "request_id": request_id, "position": 0,
        }  # fmt: skip
        at = time.monotonic() - self._begun
        corrections = Client(self._url, CORRECT)  # seldom: a line that is kept would be closed by the server
        try:
            answer = corrections.send(json.dumps(sent).encode(), number)
        finally:
            corrections.close()
        self._keep(at, answer.status, answer.seconds, sent["id"], "correction")

    def _keep(self, at: float, status: int, seconds: float, request_id: str, what: str) -> None:
        self.asked.append(Asked(at=at, status=status, seconds=seconds, request_id=request_id, what=what))


def yardstick() -> float:
    """Return the seconds that a fixed piece of work takes here now: what others do on the machine shows in it."""
    started = time.perf_counter()
    state = 1
    for _ in range(_WORK):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return time.perf_counter() - started
