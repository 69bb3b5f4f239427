"""How often one client may ask: a bucket of tokens each, and one for all whom there is no room to know.

A bucket holds a minute's worth and fills steadily. `MOST_CLIENTS` are known at most: a bucket that is full again
makes room for a new client, and while none is, new ones share one bucket. So nobody gets more by coming from many
addresses, and who was known before is not held back by those who do.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_CLIENTS = 4096
GUESSES_A_MINUTE = 30
"""So many wrong tokens may come from one address before it is told to wait."""
_OTHERS = "\0"


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    was_refused: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client is told."""

    wait_s: int
    """Whole seconds after which to come back; 0: come in."""
    is_first: bool = False
    """Whether it is the first refusal since the client was let in: the one that is worth a line in a log."""


class Rates:
    """Counts what clients ask for; safe for threads.

    Args:
        per_minute: requests that a client may make a minute, and at once after a pause; 0 sets no limit.
        most_clients: that are told apart.
        clock: seconds, never set back.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        most_clients: int = MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_minute < 0 or most_clients < 1:
            raise ValueError(f"Rates: {per_minute} a minute for {most_clients} clients: expected 0 and 1 or more")
        self._most = float(per_minute)
        self._per_s = per_minute / 60.0
        self._most_clients = most_clients
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, client: str) -> Turn:
        """Count a request of a client, unless it is one too many."""
        if not self._most:
            return Turn(0)
        with self._lock:
            now = self._clock()
            bucket = self._bucket(client, now)
            bucket.left = min(self._most, bucket.left + (now - bucket.at) * self._per_s)
            bucket.at = now
            if bucket.left >= 1.0:
                bucket.left -= 1.0
                bucket.was_refused = False
                return Turn(0)
            first, bucket.was_refused = not bucket.was_refused, True
            return Turn(max(1, math.ceil((1.0 - bucket.left) / self._per_s)), first)

    def __len__(self) -> int:
        return len(self._buckets)

    def _bucket(self, client: str, now: float) -> _Bucket:
        """Return a client's bucket; the least recently used ones come first."""
        while self._buckets:  # clears away what is full again, a few a request on the whole
            name, oldest = next(iter(self._buckets.items()))
            if oldest.left + (now - oldest.at) * self._per_s < self._most:
                break
            del self._buckets[name]
        if client not in self._buckets and len(self._buckets) >= self._most_clients - (
            _OTHERS not in self._buckets
        ):
            client = _OTHERS
        bucket = self._buckets.setdefault(client, _Bucket(self._most, now))
        self._buckets.move_to_end(client)
        return bucket


def network(address: str) -> str:
    """Return what an address counts as: a whole /64 of IPv6 is one household, and its addresses cost nothing."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:60]
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(getattr(known, "ipv4_mapped", None) or known)
