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
        self._bodies = [base64.b64encode(image).decode() for image in images]
        self._texts, self._url, self._begun = texts, url, begun
        self._per_second, self._correct_every = per_second, correct_every
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._number, self._due = 0, time.monotonic() - begun
        self._until = 0.0
        self._errors: list[Exception] = []

    def run(self, until: float) -> None:
        """Send until so many seconds after the soak began.

        Raises:
            OSError: the server is away.
        """
        self._until = until
        threads = [threading.Thread(target=self._send) for _ in range(NUM_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _next(self) -> tuple[int, float]:
        with self._lock:
            self._number += 1
            self._due += self._rng.expovariate(self._per_second)
            return self._number, self._due

    def _send(self) -> None:
        lines, corrections = Client(self._url, PREDICT), Client(self._url, CORRECT)
        try:
            while not self._errors:
                number, due = self._next()
                if due > self._until:
                    return
                time.sleep(max(0.0, due - (time.monotonic() - self._begun)))
                self._ask(number, lines, corrections)
        except Exception as error:
            self._errors.append(error)
        finally:
            lines.close()
            corrections.close()

    def _ask(self, number: int, lines: Client, corrections: Client) -> None:
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
        answer = corrections.send(json.dumps(sent).encode(), number)
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
