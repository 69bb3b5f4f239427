"""Who may ask: everybody who has a token, and no page of another site.

Without a token the server listens to its own machine only, unless it is told that something else guards it.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from htr.errors import SettingsError
from htr.tokens import Token, read_token

__all__ = [
    "TOKEN_VARIABLE",
    "Token",
    "check_exposure",
    "find_token",
    "is_foreign",
    "is_loopback",
    "is_misnamed",
    "is_open",
]

TOKEN_VARIABLE = "QUILLFLOW_TOKEN"  # noqa: S105 - the variable's name
_OPEN_PATHS = re.compile(r"/|/v2/health/(live|ready)|/v2/models/[^/]+/ready")


def find_token(
    file: Path | None,
    environment: Mapping[str, str] = os.environ,
    *,
    flag: str = "--token-file",
    variable: str = TOKEN_VARIABLE,
) -> Token | None:
    """Return the tokens of a file or else of the environment; see `htr.tokens.read_token`."""
    return read_token(file, environment, flag=flag, variable=variable)


def check_exposure(host: str, token: Token | None, *, no_token: bool) -> None:
    """Refuse to open the server to a network by oversight.

    Args:
        host: address to bind.
        token: what clients must send, or None.
        no_token: whether it was asked for in so many words.

    Raises:
        SettingsError: everybody on the network could use it.
    """
    if token is None and not no_token and not is_loopback(host):
        raise SettingsError(
            f"--host {host}: everybody who reaches this address could use the server; give --token-file FILE or "
            f"{TOKEN_VARIABLE}, or say --no-token where a proxy or mesh asks for one"
        )


def is_open(path: str) -> bool:
    """Return whether a path wants no token: probes ask it, and it tells nothing but that the server is there."""
    return _OPEN_PATHS.fullmatch(path) is not None


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_misnamed(headers: Mapping[str, str]) -> bool:
    """Return whether a request to this machine came by another name than this machine's own.

    So asks a page whose site let its name point to 127.0.0.1 in the meantime: to the browser they are one site.
    """
    host = headers.get("host", "")
    named = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return not is_loopback(named)


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that a page of another site sends this request."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
