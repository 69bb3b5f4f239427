"""Who asks: by the secret that comes with a request, the name that the audit log knows its sender by.

A token file holds one word for everybody, or a line ``NAME: WORD`` for each client, ``TENANT/NAME: WORD`` where
there are tenants. Nothing else says whose client it is, no header, path or body; a process keeps the words of its
own tenant only.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from htr.errors import SettingsError
from htr.tenants import DEFAULT, Tenant
from htr.tenants import VARIABLE as TENANT_VARIABLE

MIN_LENGTH = 16
EVERYBODY = "token"
"""What clients are called that share one token."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Token:
    """Secrets that clients send as ``Authorization: Bearer ...``; never shown."""

    _secret: bytes
    """Of the first client; what is sent where we are the client ourselves."""
    name: str = EVERYBODY
    others: tuple["Token", ...] = ()

    def client(self, authorization: str | None) -> str | None:
        """Return the name of who sends a header; None where nobody does who may.

        Every secret is compared, and their hashes, so that the time tells not how much of it is right.
        """
        scheme, _, sent = (authorization or "").partition(" ")
        given = _hash(sent.strip().encode("utf-8", "replace"))
        found = None
        for one in (self, *self.others):
            if hmac.compare_digest(given, _hash(one._secret)):
                found = one.name
        return found if scheme.lower() == "bearer" else None

    def admits(self, authorization: str | None) -> bool:
        """Return whether a header's value carries a secret."""
        return self.client(authorization) is not None

    @property
    def authorization(self) -> str:
        """The header's value that sends it."""
        return f"Bearer {self._secret.decode()}"

    def __repr__(self) -> str:
        return "Token(...)"


def read_token(file: Path | None, environment: Mapping[str, str], *, flag: str, variable: str) -> Token | None:
    """Return the tokens of a file or else of the environment; None where there are none.

    Args:
        file: holds them, or None.
        environment: may hold them.
        flag: what named the file.
        variable: what they are called in the environment.

    Raises:
        SettingsError: the file cannot be read, a token is too short or holds spaces, or two clients have the same
            name or token; or the process belongs to a tenant, and there is none for its clients.
    """
    tenant = Tenant.of(environment)
    if file is None and variable not in environment:
        if not tenant.is_default:
            raise SettingsError(
                f"{TENANT_VARIABLE} is set: clients must have a token; give {flag} FILE or {variable}"
            )
        return None
    where = f"{flag} {file}" if file is not None else variable
    try:
        text = file.read_text(encoding="utf-8") if file is not None else environment[variable]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where}: cannot be read; give a text file that holds the token") from error
    named = [_named(line, where) for line in text.splitlines() if line.strip()] or [_named("", where)]
    if len(named) > 1 and EVERYBODY in dict(named):
        raise SettingsError(f"{where}: holds several tokens; give each as a line NAME: TOKEN")
    if len({name for name, _ in named}) < len(named) or len({secret for _, secret in named}) < len(named):
        raise SettingsError(f"{where}: two clients have the same name or the same token; give each its own")
    ours = [(name, secret) for whole, secret in named if (name := _ours(whole, tenant)) is not None]
    if not ours:
        raise SettingsError(f"{where}: no client of this process's tenant; give it a line TENANT/NAME: TOKEN")
    first, *others = (Token(secret, name) for name, secret in ours)
    return Token(first._secret, first.name, tuple(others))


def _ours(whole: str, tenant: Tenant) -> str | None:
    """Return a client's name within the tenant; None of a client of another one."""
    owner, slash, name = whole.rpartition("/")
    if not slash and whole == EVERYBODY:  # one word alone: that of whoever was given it
        return whole
    return name if (owner or DEFAULT) == tenant.name else None


def _named(line: str, where: str) -> tuple[str, bytes]:
    whole, colon, rest = line.strip().partition(": ")
    whole, secret = (whole, rest.strip()) if colon else (EVERYBODY, line.strip())
    owner, slash, name = whole.rpartition("/")
    if slash:
        try:
            Tenant(owner)
        except SettingsError as error:
            raise SettingsError(f"{where}: before the slash of a client: {error}") from None
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{where}: a client's name is letters, digits, '.', '_', '-', at most 40")
    if len(secret) < MIN_LENGTH or not secret.isascii() or len(secret.split()) != 1:
        raise SettingsError(
            f"{where}: expected one word of at least {MIN_LENGTH} ASCII characters, got {len(secret)} characters; "
            "make one with: openssl rand -hex 32"
        )
    return whole, secret.encode()


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
