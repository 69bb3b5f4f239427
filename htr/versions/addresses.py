"""Where versions are: addresses of stores, and of one version in a store.

    s3://BUCKET/PREFIX, file:///DIR, /DIR       a store
    quillflow+s3://BUCKET/PREFIX/bundle/HEX64   one version, for ever the same content
    quillflow+s3://BUCKET/PREFIX/bundle/NAME    what a name stands for now
    store:NAME                                  the same in the store of the environment (QUILLFLOW_STORE)

An address holds no credentials: one with user information is refused, and not repeated in the error. A process
of a tenant knows one store only, that of its tenant: see `htr.tenants`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from htr.errors import SettingsError
from htr.tenants import Tenant

KINDS = ("lines", "bundle")
STORE_VARIABLE = "QUILLFLOW_STORE"
SCHEME = "quillflow+"
SHORT = "store:"
_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One version in a store."""

    store: str
    """Address of the store, ``s3://...`` or ``file:///...``."""
    kind: str
    """One of KINDS."""
    digest: str = ""
    """64 hex digits, or "" where the address has a name."""
    name: str = ""
    """"" where the address has a digest."""


def store_uri(address: str | Path = "") -> str:
    """Return the one spelling of a store's address.

    Args:
        address: ``s3://BUCKET/PREFIX``, ``file:///DIR`` or a folder; "" takes QUILLFLOW_STORE, or the tenant's
            part of it.

    Raises:
        SettingsError: it is none of these, or nothing was given.
        TenantError: it is not that of this process's tenant.
    """
    tenant, asked = Tenant.of(os.environ), _spelled(str(address))
    root = _spelled(os.environ.get(STORE_VARIABLE, "")) if not asked or not tenant.is_default else ""
    found = tenant.store(root, asked)
    if not found:
        raise SettingsError(
            f"no store: give --store s3://BUCKET/PREFIX or --store FOLDER, or set {STORE_VARIABLE}"
        )
    return found


def _spelled(text: str) -> str:
    """Return the one spelling of an address; "" for "".

    Raises:
        SettingsError: it is none.
    """
    if not text:
        return ""
    if "://" not in text:
        return Path(text).absolute().as_uri()
    try:
        parts = urlsplit(text)
    except ValueError:
        raise SettingsError("the store's address is no address; give s3://BUCKET/PREFIX or file:///DIR") from None
    if "@" in parts.netloc:
        raise SettingsError(
            "the address of a store must not hold a user or secret; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile file"
        )
    if parts.query or parts.fragment:
        raise SettingsError("a store's address has no ? and no #; give s3://BUCKET/PREFIX or file:///DIR")
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc not in {"", "localhost"} or not path.is_absolute():
            raise SettingsError(f"{text}: a folder's address begins with file:/// and is absolute")
        return path.as_uri()
    if parts.scheme == "s3":
        prefix = parts.path.strip("/")
        if not _BUCKET.fullmatch(parts.netloc) or (prefix and not _sound_prefix(prefix)):
            raise SettingsError(
                f"{text}: give s3://BUCKET/PREFIX; a bucket has small letters, digits, '.' and '-', "
                "a prefix letters, digits, '.', '_', '-' and '/'"
            )
        return f"s3://{parts.netloc}/{prefix}".rstrip("/")
    raise SettingsError(f"a store's address begins with s3:// or file://, not {parts.scheme}://")


def version_uri(store: str | Path, kind: str, digest: str) -> str:
    """Return the address of a version, which always stands for the same content.

    Raises:
        SettingsError: the store's address, the kind or the digest is none.
    """
    return f"{SCHEME}{store_uri(store)}/{checked_kind(kind)}/{plain_digest(digest)}"


def parse_version_uri(uri: str, wanted: str = "") -> Address:
    """Return what an address of a version says; `is_address` tells whether a text wants to be one.

    Args:
        uri: the address.
        wanted: kind that it must have; "" takes either, but ``store:NAME`` does not say its own.

    Raises:
        SettingsError: it is none, or of another kind.
    """
    if uri.startswith(SHORT) and wanted:
        return Address(store=store_uri(), kind=wanted, name=checked_name(uri.removeprefix(SHORT)))
    store, _, last = uri.removeprefix(SCHEME).rpartition("/")
    store, _, kind = store.rpartition("/")
    # The store first: whether there is a secret in the address is found out before anything is repeated.
    known = store_uri(store) if uri.startswith(SCHEME) and "://" in store else ""
    if not known or kind not in KINDS:
        raise SettingsError(
            "the address of a version is quillflow+s3://BUCKET/PREFIX/KIND/DIGEST or "
            "quillflow+file:///DIR/KIND/DIGEST, where KIND is lines or bundle, and DIGEST 64 hex digits or a name"
        )
    if wanted and kind != wanted:
        raise SettingsError(f"{uri}: is an address of kind {kind}, and {wanted} is wanted")
    if _HEX.fullmatch(last):
        return Address(store=known, kind=kind, digest=last)
    return Address(store=known, kind=kind, name=checked_name(last))


def is_address(text: str) -> bool:
    """Return whether a text wants to be the address of a version, rather than a folder."""
    return text.startswith((SCHEME, SHORT))


def folder_of(uri: str) -> Path:
    """Return the folder of a ``file://`` store."""
    return Path(unquote(urlsplit(uri).path))


def bucket_and_prefix(uri: str) -> tuple[str, str]:
    """Return bucket and prefix of an ``s3://`` store; the prefix is "" or ends with a slash."""
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def plain_digest(digest: str) -> str:
    """Return the 64 hex digits of a digest given with or without ``sha256:``."""
    plain = digest.removeprefix("sha256:")
    if not _HEX.fullmatch(plain):
        raise SettingsError(f"{digest!r} is no digest: 64 hex digits are wanted")
    return plain


def is_digest(text: str) -> bool:
    """Return whether a text is a digest, with or without ``sha256:``."""
    return bool(_HEX.fullmatch(text.removeprefix("sha256:")))


def checked_kind(kind: str) -> str:
    """Return the kind."""
    if kind not in KINDS:
        raise SettingsError(f"{kind!r} is no kind of version; there are {' and '.join(KINDS)}")
    return kind


def checked_name(name: str) -> str:
    """Return a name that versions may go by: letters, digits, '.', '_', '-'; at most 100, no digest."""
    if not _NAME.fullmatch(name) or _HEX.fullmatch(name):
        raise SettingsError(
            f"{quote(name, safe=' ')!r} is no name for versions: letters, digits, '.', '_' and '-', at most 100, "
            "a letter or digit first"
        )
    return name


def _sound_prefix(prefix: str) -> bool:
    return bool(_PREFIX.fullmatch(prefix)) and not {".", ".."} & set(prefix.split("/"))
