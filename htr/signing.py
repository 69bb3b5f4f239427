"""Signatures over bundles: who holds the private key vouches for every byte of a bundle, and nobody else can.

    model.sig    in the bundle's folder: an OpenSSF model-signing signature (a Sigstore bundle with an in-toto
                 statement) over the path and the SHA-256 of every other file there

A bundle's own digests tell damage from what was written; whoever can write the folder can write them anew. A
signature cannot be made anew without the private key. The bundle's digest does not cover it: a bundle keeps its
identity when it is signed, and copies of the folder carry it along. An amended bundle is another one, unsigned.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from htr.bundle import MANIFEST, Bundle
from htr.errors import BundleError, OutputError, SettingsError, SignatureError

if TYPE_CHECKING:
    from model_signing.hashing import Config as Hashing

SIGNATURE = "model.sig"
PRIVATE_KEY, PUBLIC_KEY = "signing.key", "signing.pub"
SIGN_VARIABLE = "QUILLFLOW_SIGN_KEY"
"""Names the file of the private key that new versions are signed with."""
VERIFY_VARIABLE = "QUILLFLOW_VERIFY_KEY"
"""Names the file of the public key without whose signature nothing is served or trained on from."""
MAX_SIGNATURE_BYTES = 1 << 20
"""A real one has 3 kB; what comes from a stranger is not parsed at any size."""


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Make a pair of keys (ECDSA on P-256) in PEM files; only its owner may read the private one.

    Returns:
        The files of the private and of the public key.

    Raises:
        OutputError: a key is there already, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content, mode in ((private, secret, 0o600), (public, shown, 0o644)):
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
                out.write(content)
    except FileExistsError as error:
        raise OutputError(f"{error.filename}: a key is there already; give another folder") from error
    except OSError as error:
        raise OutputError(f"{folder}: keys cannot be written ({error.strerror}); give another folder") from error
    return private, public


def sign_bundle(folder: Path, private_key: Path) -> Path:
    """Sign a bundle; a signature that is there gives way to the new one.

    Args:
        folder: the bundle; whole, and with nothing in it that its manifest does not list.
        private_key: PEM file of a key on P-256, P-384 or P-521, without a password.

    Returns:
        The signature's file.

    Raises:
        BundleError: the folder is not one whole bundle and nothing else.
        SettingsError: the key cannot be used.
        OutputError: the signature cannot be written.
    """
    bundle = Bundle.open(folder)
    strays = _files(folder) - {MANIFEST, SIGNATURE, *bundle.files}
    if strays:
        raise BundleError(f"{folder}: {_listed(strays)} is no part of the bundle; remove it before you sign")
    from model_signing.signing import Config

    try:
        config = Config().use_elliptic_key_signer(private_key=private_key)
    except Exception as error:  # whatever the parser of keys says of bytes that are none
        raise SettingsError(_unusable(private_key, "private", error)) from error
    partial = folder.parent / f".{folder.name}.{os.getpid()}.{SIGNATURE}"
    try:
        config.set_hashing_config(_hashing()).sign(folder.resolve(), partial)
        partial.replace(folder / SIGNATURE)
    except OSError as error:
        raise OutputError(f"{folder / SIGNATURE}: cannot be written ({error.strerror}); fix its rights") from error
    finally:
        partial.unlink(missing_ok=True)
    return folder / SIGNATURE


def verify_bundle(folder: Path, public_key: Path) -> None:
    """Check that the holder of a key vouches for everything in a folder. No file but the signature is parsed.

    Args:
        folder: the bundle.
        public_key: PEM file.

    Raises:
        SignatureError: unsigned, signed with another key, or a file was altered, removed or added since.
        BundleError: there is no such folder.
        SettingsError: the key cannot be used.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder}: not a model bundle; give the folder that training wrote")
    from model_signing.verifying import Config

    try:
        config = Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:  # as in sign_bundle
        raise SettingsError(_unusable(public_key, "public", error)) from error
    signature = folder / SIGNATURE
    if signature.is_symlink() or not signature.is_file():
        raise SignatureError(
            f"{folder}: not signed (no {SIGNATURE}), and {VERIFY_VARIABLE} asks for it; "
            f"sign it with: python -m htr sign {folder} --key FILE"
        )
    if signature.stat().st_size > MAX_SIGNATURE_BYTES:
        raise SignatureError(f"{signature}: larger than any signature; do not use it, fetch the bundle again")
    try:
        config.set_hashing_config(_hashing()).verify(folder.resolve(), signature)
    except Exception as error:  # the signature is a stranger's: no shape of it may be more than a refusal
        raise SignatureError(f"{folder}: {_reason(error)}; do not use it, fetch the bundle again") from error


def sign_if_asked(folder: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Sign a bundle with the key that the environment names; return whether it names one.

    Raises:
        BundleError, SettingsError, OutputError: as `sign_bundle`.
    """
    key = environment.get(SIGN_VARIABLE, "")
    if key:
        sign_bundle(folder, Path(key))
    return bool(key)


def find_verify_key(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of the public key that the environment names, or None where it names none.

    Raises:
        SettingsError: the file cannot be read: nobody shall believe that signatures are checked when they are not.
    """
    name = environment.get(VERIFY_VARIABLE, "")
    if not name:
        return None
    try:
        Path(name).read_bytes()
    except OSError as error:
        raise SettingsError(f"{VERIFY_VARIABLE}={name}: cannot be read ({error.strerror})") from error
    return Path(name)


def _hashing() -> "Hashing":
    """Every file but the signature counts; by default model-signing passes over what git might have left."""
    from model_signing.hashing import Config

    return Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _unusable(key: Path, kind: str, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else "not one"
    return (
        f"{key}: expected the PEM file of a {kind} key on P-256, P-384 or P-521 ({reason}); "
        "make a pair with: python -m htr keys --out DIR"
    )


def _reason(error: Exception) -> str:
    text = str(error)
    if type(error).__name__ == "InvalidSignature":
        return "its signature is forged: it was not made with the key that it names"
    if "Key mismatch" in text:
        return "signed with another key"
    if text.startswith("Signature mismatch: "):
        return "not what was signed (" + text.removeprefix("Signature mismatch: ").strip("[]'\"")[:300] + ")"
    if "symlink" in text or "symbolic link" in text:
        return "holds a link, and a bundle holds plain files only"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return f"its signature is damaged ({type(error).__name__}: {text[:120]})"
