"""Guesses at tokens: how many wrong ones an address may send a minute before it is told to wait.

Only wrong ones are counted, so that whoever has the right one is let in whatever its neighbours do.
"""

from htr.rates import GUESSES_A_MINUTE, Rates, network
from serving.refusals import RefusedError, TokenError, TooManyGuessesError


class Guesses:
    """Answers who sends a wrong token; safe for threads.

    Args:
        rates: counts them by address.
    """

    def __init__(self, rates: Rates | None = None) -> None:
        self._rates = Rates(GUESSES_A_MINUTE) if rates is None else rates

    def refuse(self, address: str, *, sent: bool) -> RefusedError:
        """Return what is said to somebody without the right token.

        Args:
            address: where the request comes from, "" where nobody knows.
            sent: whether it has a token at all: to have none is no guess.
        """
        turn = self._rates.take(network(address)) if sent else None
        return TooManyGuessesError(turn.wait_s) if turn is not None and turn.wait_s else TokenError()


def peer_address(peer: str) -> str:
    """Return the address in what gRPC calls a peer: ``ipv4:10.0.0.7:4711``, ``ipv6:%5B::1%5D:4711``."""
    kind, _, rest = peer.partition(":")
    if kind == "ipv6":
        return rest.replace("%5B", "[").replace("%5D", "]").partition("]")[0].removeprefix("[")
    return rest.rpartition(":")[0] if kind == "ipv4" else peer
