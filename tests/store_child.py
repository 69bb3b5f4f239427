"""A process that publishes or fetches by the real client, counts what it sends, and may kill itself on the way.

    python -m tests.store_child publish STORE FOLDER [REQUEST DELAY_MS]
    python -m tests.store_child fetch STORE FOLDER BYTES

Publishing, SIGKILL comes so long after a request has begun, or before it where the delay is negative; fetching,
when so many bytes have come. Prints the requests and how many bytes they took, if it lives.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

import urllib3

from htr.versions import open_store

NAME = "ours"
requests: list[str] = []
sent: list[int] = []


def publish(store: str, folder: str, request: int, delay_ms: int) -> None:
    """Publish, and die at a request."""
    real = urllib3.PoolManager.urlopen

    def urlopen(self: urllib3.PoolManager, method: str, url: str, **options: Any) -> Any:
        requests.append(f"{method} {url}")
        if len(requests) == request:
            if delay_ms < 0:
                kill()
            threading.Timer(delay_ms / 1000, kill).start()
        sent.append(len(options.get("body") or b""))
        return real(self, method, url, **options)

    urllib3.PoolManager.urlopen = urlopen  # type: ignore[method-assign, assignment]  # counted, and not replaced
    open_store(store).publish("bundle", NAME, folder)


def fetch(store: str, folder: str, num_bytes: int) -> None:
    """Fetch, and die when so many bytes are there."""
    opened = open_store(store)
    digest = opened.resolve("bundle", NAME).digest
    opened.fetch("bundle", digest, folder, on_progress=lambda done, _: kill() if done >= num_bytes else None)


def kill() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:6] or (0, 0)))
    else:
        fetch(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    sys.stdout.write(json.dumps({"requests": requests, "sent": sum(sent)}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a death that was still to come finds nobody
