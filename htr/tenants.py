"""Whose data a process works on: one tenant, named by its environment, and never anybody else's.

A department, a client, an archive: people who must not see each other's handwriting. A process belongs to one of
them (QUILLFLOW_TENANT) from its start to its end; nothing that comes with a request changes it. What such a
process may reach follows from the name, here and nowhere else:

    store of versions     QUILLFLOW_STORE/TENANT, and no other address
    names in MLflow       TENANT.NAME
    caches                CACHE/tenants/TENANT
    folders               those that a mark says are its own, or that nobody has claimed: ``quillflow-tenant.json``

Without the variable it is the tenant ``default``, for whom nothing changes, but that marked folders are refused.
"""

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from htr.errors import OutputError, SettingsError, TenantError

VARIABLE = "QUILLFLOW_TENANT"
DEFAULT = "default"
MARK = "quillflow-tenant.json"
FORMAT_VERSION = 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_RESERVED = {"blobs", "bundle", "checkpoints", "doctor", "lines"}
"""Folders of a store that belongs to no tenant: one of these names would lie among its files."""
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_NOT_DATA = {"lost+found", ".snapshot"}
"""What a fresh volume may hold."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant.

    Raises:
        SettingsError: the name is none: small letters, digits and '-', at most 40.
    """

    name: str = DEFAULT

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _RESERVED:
            raise SettingsError(
                f"{VARIABLE}: a tenant's name is small letters, digits and '-', at most 40, a letter or digit "
                f"first and last, and none of {', '.join(sorted(_RESERVED))}"
            )

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Tenant":
        """Return the tenant that a process belongs to."""
        return cls(environment.get(VARIABLE, "") or DEFAULT)

    @property
    def is_default(self) -> bool:
        """Return whether nobody speaks of tenants here."""
        return self.name == DEFAULT

    def store(self, root: str, asked: str) -> str:
        """Return the address of the tenant's store.

        Args:
            root: of the store that the tenants' lie in, in its one spelling; "" where there is none.
            asked: the address that somebody gave, in its one spelling; "" for none.

        Raises:
            TenantError: it is not the tenant's. Nothing was asked of it: the answer tells not whether it is there.
        """
        if self.is_default:
            return asked or root
        if not root:
            raise SettingsError(
                f"{VARIABLE} is set, and QUILLFLOW_STORE is not: it holds the stores of all tenants"
            )
        own = f"{root}/{self.name}"
        if asked not in {"", own}:
            raise TenantError(f"this address is not in the store of this process's tenant, which is {own}")
        return own

    def registered(self, name: str) -> str:
        """Return what a model or experiment of the tenant's goes by in MLflow; done twice it is as done once."""
        return name if self.is_default or name.startswith(f"{self.name}.") else f"{self.name}.{name}"

    def cache(self, folder: Path) -> Path:
        """Return the tenant's part of a cache: what is kept by its digest would tell who has the same."""
        return folder if self.is_default else folder / "tenants" / self.name

    def check(self, path: Path) -> None:
        """Refuse a file or folder that belongs to somebody else, links followed; it need not be there.

        Raises:
            TenantError: it does.
        """
        if _owner(path) not in {None, self.name}:
            raise TenantError(f"{path}: belongs to another tenant than this process ({VARIABLE})")

    def check_all_below(self, root: Path) -> None:
        """Refuse a folder that belongs to somebody else, or below which anything does.

        Raises:
            TenantError: it does; nothing was read of it.
        """
        self.check(root)
        for name, _, files in os.walk(root):
            if MARK in files:
                self.check(Path(name))

    def check_options(self, values: Iterable[Any]) -> None:
        """Refuse options that name somebody else's files: paths, texts that are paths, ``KEY=VALUE`` of such.

        Args:
            values: what a parser read, whatever it is.

        Raises:
            TenantError: one of them does.
        """
        for value in values:
            if isinstance(value, Path):
                self.check(value)
            elif isinstance(value, str):
                for path in _paths_in(value):
                    self.check(path)
            elif isinstance(value, list | tuple):
                self.check_options(value)

    def claim(self, folder: Path) -> None:
        """Make an empty folder the tenant's, unless it is already; ``default`` claims nothing.

        Raises:
            TenantError: it belongs to somebody else, or holds what belongs to nobody yet.
            OutputError: the mark cannot be written.
        """
        self.check(folder)
        if self.is_default or _owner(folder) == self.name:
            return
        if folder.is_dir() and any(not _is_nothing(one.name) for one in folder.iterdir()):
            raise TenantError(
                f"{folder}: holds data that no tenant has claimed; if they are this tenant's: "
                f"python -m htr claim {folder}"
            )
        self.mark(folder)

    def mark(self, folder: Path) -> None:
        """Make a folder the tenant's, with all that lies below it.

        Raises:
            TenantError: it, or something below it, belongs to somebody else; or this process to no tenant.
            OutputError: the mark cannot be written.
        """
        if self.is_default:
            raise TenantError(f"set {VARIABLE}: without it there is nobody whom a folder could belong to")
        self.check_all_below(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if _owner(folder) is None:
                _write_mark(folder, self.name)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
        self.check(folder)  # somebody else may have been quicker


def _owner(path: Path) -> str | None:
    """Return the tenant of the nearest mark at or above a path; None where nobody has claimed it."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # links in a circle, which nobody can open
        real = path.absolute()
    for folder in (real, *real.parents):
        try:
            data = (folder / MARK).read_bytes()
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                continue
            raise TenantError(f"{path}: whose it is cannot be found out ({error.strerror})") from error
        try:
            found = json.loads(data)
            known, name = found["format_version"] == FORMAT_VERSION, str(found["tenant"])
        except (ValueError, KeyError, TypeError):
            known, name = False, ""
        if not known or not name:
            raise TenantError(f"{path}: whose it is cannot be found out: {MARK} is damaged or of another version")
        return name
    return None


def _write_mark(folder: Path, name: str) -> None:
    """Write it whole or not at all; the first one stays."""
    data = json.dumps({"format_version": FORMAT_VERSION, "tenant": name}).encode() + b"\n"
    descriptor, partial = tempfile.mkstemp(dir=folder, prefix=f".{MARK}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(out.fileno(), 0o644)
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.link(partial, folder / MARK)
    except FileExistsError:
        return
    finally:
        Path(partial).unlink()


def _is_nothing(name: str) -> bool:
    return name in _NOT_DATA or name.startswith(f".{MARK}.")


def _paths_in(text: str) -> Iterator[Path]:
    """Yield what a text may mean: a path, one behind ``file://`` or ``sqlite:///``, and that behind a ``KEY=``."""
    for one in {text, text.partition("=")[2]}:
        plain = one
        if "file://" in one:
            plain = unquote(one.rpartition("file://")[2])
        elif one.startswith("sqlite:///"):
            plain = one.removeprefix("sqlite:///")
        if plain and "://" not in plain and "\0" not in plain and len(plain) < 4096:
            yield Path(plain)
