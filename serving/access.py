"""Who may ask: one token for everybody who has it, and no page of another site.

Without a token the server listens to its own machine only, unless it is told that something else guards it.
"""

import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from htr.errors import SettingsError

TOKEN_VARIABLE = "QUILLFLOW_TOKEN"  # noqa: S105 - the variable's name
MIN_LENGTH = 16
_OPEN_PATHS = re.compile(r"/|/v2/health/(live|ready)|/v2/models/[^/]+/ready")


@dataclass(frozen=True, slots=True)
class Token:
    """A secret that clients send as ``Authorization: Bearer ...``; never shown."""

    _secret: bytes

    def admits(self, authorization: str | None) -> bool:
        """Return whether a header's value carries it, in a time that does not tell how much of it is right."""
        scheme, _, sent = (authorization or "").partition(" ")
        right = hmac.compare_digest(sent.strip().encode("utf-8", "replace"), self._secret)
        return right and scheme.lower() == "bearer"

    @property
    def authorization(self) -> str:
        """The header's value that sends it."""
        return f"Bearer {self._secret.decode()}"

    def __repr__(self) -> str:
        return "Token(...)"


def find_token(
    file: Path | None,
    environment: Mapping[str, str] = os.environ,
    *,
    flag: str = "--token-file",
    variable: str = TOKEN_VARIABLE,
) -> Token | None:
    """Return a token from a file or else from the environment; None where there is none.

    Args:
        file: holds it, or None.
        environment: may hold it.
        flag: what named the file.
        variable: what it is called in the environment.

    Raises:
        SettingsError: the file cannot be read, or the token is too short or holds spaces.
    """
    if file is None and variable not in environment:
        return None
    where = f"{flag} {file}" if file is not None else variable
    try:
        text = file.read_text(encoding="utf-8") if file is not None else environment[variable]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where}: cannot be read; give a text file that holds the token") from error
    secret = text.strip()
    if len(secret) < MIN_LENGTH or not secret.isascii() or len(secret.split()) != 1:
        raise SettingsError(
            f"{where}: expected one word of at least {MIN_LENGTH} ASCII characters, got {len(secret)} characters; "
            "make one with: openssl rand -hex 32"
        )
    return Token(secret.encode())


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
