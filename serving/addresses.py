"""Addresses that the server binds, checked before anything slow is loaded."""

import socket
from dataclasses import dataclass

from htr.errors import ServiceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """Where a server can be reached."""

    url: str
    grpc: str
    """``host:port``, or "" where gRPC is off."""


def check_port(host: str, port: int, flag: str) -> None:
    """Bind a port and let it go again, to refuse early what cannot work.

    Args:
        host: address to bind.
        port: 0 is always free.
        flag: the option to name in the message.

    Raises:
        ServiceError: it is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ServiceError(
                f"{flag} {port}: cannot be bound on {host} ({reason}); choose another port"
            ) from error


def netloc(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
