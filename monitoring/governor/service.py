"""What the governor's routes answer: posted bodies in, decisions and what is known out. No HTTP here."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from htr.access_log import AccessLog
from htr.errors import DataError
from htr.rates import GUESSES_A_MINUTE, Rates
from htr.tokens import Token
from monitoring.governor.alertmanager import alerts_from
from monitoring.governor.events import Decision, Wish
from monitoring.governor.governor import Governor
from monitoring.governor.state import Run

WRITES_A_MINUTE = 120
STUCK_S = 300.0
"""Without a turn for so long, the governor is not well."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes answer from."""

    governor: Governor
    metrics: Callable[[], bytes]
    token: Token | str | None
    """What clients must send as ``Authorization: Bearer``, or None."""
    rates: Rates = field(default_factory=lambda: Rates(WRITES_A_MINUTE))
    """How often one client may post."""
    guesses: Rates = field(default_factory=lambda: Rates(GUESSES_A_MINUTE))
    """How often one address may send a wrong token, to routes that read and to those that write."""
    log: AccessLog | None = None
    """Where it is noted who posted, or None."""
    wake: Callable[[], None] = lambda: None
    """Has the next turn taken at once."""

    def post(self, path: str, body: Any) -> Any:
        """Answer a POST.

        Raises:
            DataError: the body is not what the route takes.
            KeyError: there is no such route.
            OutputError: what was decided cannot be written.
            ServiceError: it cannot be decided yet.
        """
        if path == "/v1/alerts":
            alerts = alerts_from(body)  # all of them before the first is taken in
            return {"decisions": [_told(self.governor.take(alert)) for alert in alerts]}
        if path == "/v1/wishes":
            return {"decisions": [_told(self.governor.take(wish_from(body)))]}
        if path == "/v1/registry":
            self.governor.hint()
            return {"decisions": []}
        raise KeyError(path)

    def client(self, authorization: str | None) -> str | None:
        """Return who sends a header, "" where no token is asked for; None where it may not."""
        if self.token is None:
            return ""
        token = Token(self.token.encode()) if isinstance(self.token, str) else self.token
        return token.client(authorization)

    def is_well(self) -> bool:
        """Return whether turns are taken."""
        return self.governor.at() - self.governor.last_turn_s < STUCK_S


def wish_from(body: Any) -> Wish:
    """Return the wish that a body stands for.

    Raises:
        DataError: it is none; the text names the field.
    """
    if not isinstance(body, dict) or set(body) - {"id", "by", "reason"}:
        raise DataError("expected an object with id, and by and reason if you like")
    wish = {"by": "person", "reason": "", **body}
    if not isinstance(wish.get("id"), str) or not 0 < len(wish["id"]) <= 200:
        raise DataError("id: expected text of 1 to 200 characters; the same id again is the same wish")
    if wish["by"] not in {"person", "schedule"}:
        raise DataError(f"by: expected person or schedule, found {wish['by']!r:.40}")
    if not isinstance(wish["reason"], str) or len(wish["reason"]) > 500:
        raise DataError("reason: expected text of at most 500 characters")
    return Wish(**wish)


def shown_state(governor: Governor) -> dict[str, Any]:
    """Return what is known, as plain values."""
    with governor.reading():
        state = governor.state
        return {
            "format_version": 1,
            "records": state.seq,
            "at": governor.at(),
            "champion": asdict(state.champion) if state.champion else None,
            "labels": {"count": state.labels.count if state.labels else 0, "fresh": state.fresh},
            "concerns": [asdict(concern) for concern in state.concerns.values()],
            "labelling": asdict(state.labelling) if state.labelling else None,
            "run": _shown_run(state.run) if state.run else None,
            "watched": state.watch.champion.version if state.watch else "",
            "misses": state.misses,
            "stopped": state.stopped_why if state.stopped else "",
            "troubles": dict(governor.troubles),
        }


def _shown_run(run: Run) -> dict[str, Any]:
    return {**asdict(run), "time": run.time.isoformat() if run.time else None}


def _told(decision: Decision) -> dict[str, str]:
    return {"decision": decision.choice, "reason": decision.reason, "key": decision.key}
