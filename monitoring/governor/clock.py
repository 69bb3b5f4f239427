"""The governor's own clock: seconds since its journal began, which no wall clock that is set anew can turn.

While a process lives it counts on the machine's steady clock. From one process to the next there is nothing but
the wall clock to go by: then it goes forward by what the wall clock says has passed, by MOST_ASLEEP_S at most,
and never back. So a wall clock that jumps by years can end a cooldown and a day's budget early, once a restart,
and no more; and after a longer time without a governor, cooldowns last longer than they would have.

What a process counted is known to the next only by its last record: a governor writes one an hour at least.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

MOST_ASLEEP_S = 86_400.0


def steady_s() -> float:
    """Return seconds of the machine's steady clock, those asleep included where it knows them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()


class GovernedClock:
    """Tells the time on both clocks.

    Args:
        last_at: the journal's last word on the governor's clock.
        last_time: and on the wall clock; None for an empty journal.
        wall: the wall clock, with time zone.
        steady: a clock that never goes back while the process lives, in seconds.
    """

    def __init__(
        self,
        last_at: float,
        last_time: datetime | None,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = steady_s,
    ) -> None:
        asleep = (wall() - last_time).total_seconds() if last_time is not None else 0.0
        self._wall, self._steady = wall, steady
        self._begun = steady()
        self._at_begun = last_at + min(max(asleep, 0.0), MOST_ASLEEP_S)

    def at(self) -> float:
        """Return seconds on the governor's clock."""
        return self._at_begun + max(0.0, self._steady() - self._begun)

    def time(self) -> datetime:
        """Return the wall clock's time, for people."""
        return self._wall()
