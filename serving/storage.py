"""python -m serving.storage: a bundle's immutable address in, the verified bundle in a folder out, or nothing.

    python -m serving.storage quillflow+s3://BUCKET/PREFIX/bundle/HEX64 /mnt/models

KServe runs it as the storage initializer of our scheme (a ClusterStorageContainer), before the model server. Every
file is compared with its digest; with QUILLFLOW_VERIFY_KEY the signature is verified, too. The folder may be
where a volume is mounted, which cannot be renamed: files are fetched into a folder inside of it and moved up when
all is well, the manifest last. A folder without a manifest is no bundle, and is not served.

Exit codes: 0 it is there, 2 settings, 3 the store is away or refuses, 4 the store has no such bundle, 5 what it
has is altered or not signed by the key, 6 the folder cannot be written.
"""

import argparse
import fcntl
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from htr.bundle import MANIFEST, Bundle
from htr.errors import (
    AlteredError,
    BundleError,
    MissingError,
    OutputError,
    QuillflowError,
    SettingsError,
    StoreError,
)
from htr.signing import VERIFY_VARIABLE, find_verify_key, verify_bundle
from htr.tenants import Tenant
from htr.versions import open_store, parse_version_uri

STAGING = ".quillflow-fetch"
"""Beneath the folder; while it is there, all else in the folder is ours and may be half of a bundle."""
_NOT_OURS = {"lost+found"}
"""What a fresh volume may hold."""
EXIT_CODES: tuple[tuple[type[QuillflowError], int], ...] = (
    (SettingsError, 2),
    (AlteredError, 5),
    (StoreError, 3),
    (MissingError, 4),
    (BundleError, 5),
    (OutputError, 6),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.storage", description="Fetch a bundle and verify it.")
    parser.add_argument("uri", help="quillflow+s3://BUCKET/PREFIX/bundle/HEX64, or quillflow+file:///DIR/...")
    parser.add_argument("folder", type=Path, help="where it shall lie; empty, or holding this bundle already")
    args = parser.parse_args(argv)
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        fetched = fetch(args.uri, args.folder)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
    except OSError as error:
        print(f"error: {args.folder}: cannot be written ({error.strerror})", file=sys.stderr)  # noqa: T201
        return 6
    except KeyboardInterrupt:
        return 130
    print(f"{'fetched' if fetched else 'already there:'} {args.uri}", flush=True)  # noqa: T201
    return 0


def fetch(uri: str, folder: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Bring a bundle into a folder, verified; whole or not at all.

    Args:
        uri: an address with a digest; names are resolved when a model is deployed, never here.
        folder: made if need be.
        environment: names the public key, if any, and the store's credentials.

    Returns:
        Whether anything was fetched: False where the folder held the bundle already.

    Raises:
        SettingsError: no such address, or signatures are asked for and cannot be verified.
        StoreError, MissingError, AlteredError: as `htr.versions.VersionStore.fetch`.
        BundleError: not a bundle that this program reads, or not signed by the key.
        OutputError: the folder cannot be written, or holds something else.
    """
    address = parse_version_uri(uri, "bundle")
    if not address.digest:
        raise SettingsError(
            f"{uri}: names a bundle that may change; give its digest, as `python -m components.deploy` writes it"
        )
    public_key = _public_key(environment)
    with _alone(folder):
        staging = folder / STAGING
        if staging.exists():  # a try before this one was killed, and what lies here is its doing
            _clear(folder, but={STAGING})
            _keep_whole(staging / "bundle")
        elif _holds(folder, address.digest, public_key):
            return False
        staging.mkdir(exist_ok=True)
        try:
            fetched = open_store(address.store).fetch("bundle", address.digest, staging / "bundle")
            _verify(fetched, address.digest, public_key)
            _move_up(fetched, folder)
        except StoreError:
            _clear(folder, but={STAGING})  # what was fetched so far is taken up by the next try
            raise
        except BaseException:  # a stop included: a whole bundle is left, or none
            _clear(folder)
            raise
        shutil.rmtree(staging)
    return True


def _verify(bundle: Path, digest: str, public_key: Path | None) -> None:
    """Check that a folder is the bundle of a digest, and signed where a key is given."""
    if public_key is not None:
        verify_bundle(bundle, public_key)
    found = Bundle.open(bundle).digest
    if found != f"sha256:{digest}":
        raise BundleError(f"{bundle}: is {found}, and sha256:{digest} was asked for; publish the bundle again")


def _holds(folder: Path, digest: str, public_key: Path | None) -> bool:
    """Return whether the folder holds the bundle already, False where it is empty.

    Raises:
        OutputError: it holds something else.
    """
    if not [path for path in folder.iterdir() if path.name not in _NOT_OURS]:
        return False
    try:
        _verify(folder, digest, public_key)
    except BundleError as error:
        raise OutputError(f"{folder}: something else is there ({error}); give an empty folder") from error
    return True


def _keep_whole(bundle: Path) -> None:
    """Remove a fetched bundle that was half moved up; a download that is under way lies beside it, and stays."""
    try:
        Bundle.open(bundle)
    except BundleError:
        shutil.rmtree(bundle, ignore_errors=True)


def _move_up(bundle: Path, folder: Path) -> None:
    """Move a bundle's files into the folder above, the manifest last."""
    for path in sorted(bundle.iterdir(), key=lambda path: path.name == MANIFEST):
        path.replace(folder / path.name)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(folder: Path, *, but: set[str] | frozenset[str] = frozenset()) -> None:
    """Remove what is ours; the manifest first, so that nobody takes a part for the whole."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name in but | _NOT_OURS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder; another that fetches into the same volume is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); give another folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OutputError(f"{folder}: another process fetches into it; wait for its end") from error
    finally:
        os.close(descriptor)


def _public_key(environment: Mapping[str, str]) -> Path | None:
    """Return the public key that the environment names; where it names one, signatures must be verifiable."""
    public_key = find_verify_key(environment)
    if public_key is not None and importlib.util.find_spec("model_signing") is None:
        raise SettingsError(
            f"{VERIFY_VARIABLE} is set, and signatures cannot be verified here (model_signing is not installed); "
            "install quillflow[signing], or unset it"
        )
    return public_key


if __name__ == "__main__":
    sys.exit(main())
