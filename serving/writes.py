"""Write routes: how often one client may use them, and the log of who did."""

import re
from dataclasses import dataclass

from anyio import to_thread
from starlette.types import Scope

from htr.access_log import AccessLog
from htr.rates import Rates, network
from serving.refusals import TooOftenError

_CORRECTIONS = re.compile(r"/v1/corrections(/withdraw)?/?")
_REPOSITORY = re.compile(r"/v2/repository/models/[^/]+/(load|unload)/?")


@dataclass(frozen=True, kw_only=True)
class Writes:
    """What stands before all of them."""

    rates: Rates
    log: AccessLog | None = None
    """None keeps none."""

    def begin(self, scope: Scope, *, client: str | None, request_id: str) -> "Write | None":
        """Return what is to be known of a request that writes; None of one that does not.

        Args:
            scope: the request's.
            client: its name, "" where no token is asked for, None where it has not the right one.
            request_id: its id.
        """
        route = write_route(scope["method"], scope["path"])
        address = network((scope.get("client") or ("",))[0])
        return Write(self, route=route, client=client, address=address, request_id=request_id) if route else None


class Write:
    """One request that writes; see `Writes.begin`."""

    def __init__(self, writes: Writes, *, route: str, client: str | None, address: str, request_id: str) -> None:
        self._writes = writes
        self._route = route
        self._client = client
        self._address = address
        self._request_id = request_id
        self._is_noted = writes.log is not None

    def check(self) -> None:
        """Count the request, also one of somebody who guesses at tokens.

        Raises:
            TooOftenError: it is one too many.
        """
        # Guesses have a bucket of their own: they do not use up that of a client behind the same address.
        turn = self._writes.rates.take(f"{'?' if self._client is None else self._client}@{self._address}")
        if turn.wait_s:
            self._is_noted = self._is_noted and turn.is_first  # else a flood would fill the disk
            raise TooOftenError(turn.wait_s)

    async def note(self, status: int) -> None:
        """Keep who did it, before the answer leaves."""
        log = self._writes.log
        if log is None or not self._is_noted:
            return
        await to_thread.run_sync(
            lambda: log.note(
                route=self._route, client=self._client or "", status=status, request_id=self._request_id
            )
        )


def write_route(method: str, path: str) -> str:
    """Return what a write goes by in the log, without anything that a client chose; "" where it writes nothing."""
    if method != "POST":
        return ""
    if found := _CORRECTIONS.fullmatch(path):
        return f"POST /v1/corrections{found[1] or ''}"
    if found := _REPOSITORY.fullmatch(path):
        return f"POST /v2/repository/{found[1]}"
    return ""
