"""Requests out, latencies and answers in: closed loops of a few clients, and open loops at a rate.

Clients are threads with one connection each and bodies made beforehand, so that they cost little beside a server
on the same cores. Times are seconds of the wall clock, from before a request is sent until its answer is received.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

BACK_OFF_S = 0.02
"""Pause of a closed loop's client that was refused; far less than the Retry-After that it was told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one request came to."""

    line: int
    """Which of the bodies was sent."""
    status: int
    seconds: float
    late_s: float = 0.0
    """How much later than it was due a request of an open loop was sent."""
    body: dict[str, Any] = field(default_factory=dict)


class Client:
    """One connection that is kept.

    Args:
        url: scheme, host and port of the server.
        path: where requests go.
    """

    def __init__(self, url: str, path: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._path = path

    def send(self, body: bytes, line: int, *, late_s: float = 0.0) -> Answer:
        """Send one request and wait for its answer."""
        started = time.perf_counter()
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - started
        return Answer(line=line, status=response.status, seconds=seconds, late_s=late_s, body=json.loads(content))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def closed_loop(
    url: str, path: str, bodies: Sequence[bytes], *, num_clients: int, seconds: float
) -> tuple[list[Answer], float]:
    """Let some clients send one request after another, and each go through all the bodies in turn.

    Returns:
        The answers, and the seconds that it took.
    """
    started = time.perf_counter()

    def run(number: int, client: Client, keep: Callable[[Answer], None]) -> None:
        at = number * len(bodies) // num_clients
        while time.perf_counter() - started < seconds:
            answer = client.send(bodies[at % len(bodies)], at % len(bodies))
            keep(answer)
            if answer.status == 200:
                at += 1
            else:
                time.sleep(BACK_OFF_S)

    answers = _in_threads(url, path, num_clients, run)
    return answers, time.perf_counter() - started


def open_loop(
    url: str, path: str, bodies: Sequence[bytes], *, per_second: float, seconds: float, num_clients: int, seed: int
) -> list[Answer]:
    """Send requests at random moments, so many a second on average, whether earlier ones are answered or not.

    Args:
        url: of the server.
        path: where requests go.
        bodies: sent in turn.
        per_second: mean rate; the gaps are exponential, as with many clients who know nothing of each other.
        seconds: how long.
        num_clients: connections; where all wait for answers a request goes out late, and its answer says how late.
        seed: of the moments.
    """
    rng, due, moments = random.Random(seed), 0.0, []  # noqa: S311 - no secret
    while (due := due + rng.expovariate(per_second)) < seconds:
        moments.append(due)
    lock, upcoming = threading.Lock(), iter(enumerate(moments))
    started = time.perf_counter()

    def run(_: int, client: Client, keep: Callable[[Answer], None]) -> None:
        while True:
            with lock:
                number, due = next(upcoming, (-1, 0.0))
            if number < 0:
                return
            time.sleep(max(0.0, due - (time.perf_counter() - started)))
            late_s = time.perf_counter() - started - due
            keep(client.send(bodies[number % len(bodies)], number % len(bodies), late_s=late_s))

    return _in_threads(url, path, num_clients, run)


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Return the seconds within which this share of the answers came; 0 where there are none."""
    ordered = sorted(answer.seconds for answer in answers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """Return how many answers had which status."""
    return dict(sorted(Counter(answer.status for answer in answers).items()))


def _in_threads(
    url: str, path: str, num_clients: int, run: Callable[[int, Client, Callable[[Answer], None]], None]
) -> list[Answer]:
    """Run clients until each is done; an error of one is raised when all have ended."""
    answers: list[Answer] = []
    failures: list[Exception] = []

    def work(number: int) -> None:
        client = Client(url, path)
        try:
            run(number, client, answers.append)
        except Exception as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return answers
