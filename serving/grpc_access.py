"""The token of `access` for gRPC: calls without it are answered UNAUTHENTICATED before KServe sees them."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpc import HandlerCallDetails, unary_unary_rpc_method_handler
from grpc.aio import ServerInterceptor

from serving.access import Token
from serving.guesses import Guesses, peer_address

_OPEN_CALLS = ("/ServerLive", "/ServerReady", "/ModelReady")
"""What a cluster's probes ask."""


class TokenInterceptor(ServerInterceptor):  # type: ignore[misc]  # gRPC is untyped
    """Lets gRPC calls pass that carry the token among their metadata.

    Args:
        token: what they must carry.
    """

    def __init__(self, token: Token) -> None:
        self._token = token
        self._guesses = Guesses()

    async def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], Awaitable[Any]],
        handler_call_details: HandlerCallDetails,
    ) -> Any:
        """Return the handler of one call."""
        metadata = dict(handler_call_details.invocation_metadata or ())
        if handler_call_details.method.endswith(_OPEN_CALLS) or self._token.admits(metadata.get("authorization")):
            return await continuation(handler_call_details)
        sent = "authorization" in metadata

        async def abort(_: object, context: Any) -> None:
            refusal = self._guesses.refuse(peer_address(context.peer()), sent=sent)
            await context.abort(refusal.status_code, refusal.details)

        return unary_unary_rpc_method_handler(abort)
