"""A bundle folder in, something ready to read with out, with the version that answers are stamped with."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from htr.bundle import short
from htr.errors import BundleError
from htr.image import Decoded
from htr.recogniser import Observation, Recogniser
from htr.signing import verify_bundle
from serving.stamp import Stamp


class Observer(Protocol):
    """Reads lines and measures them: a `Recogniser`, or one in other processes (`serving.readers`)."""

    digest: str
    """Of its bundle."""

    def observe(
        self, images: Iterable[bytes], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """See `htr.recogniser.Recogniser.observe`."""

    def observe_decoded(
        self, images: Iterable[Decoded], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """See `htr.recogniser.Recogniser.observe_decoded`."""


Load = Callable[[Path], Observer]
"""Loads a bundle folder; raises BundleError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What reads, with the version that answers are stamped with."""

    recogniser: Observer
    version: str
    """Registry version, or a short bundle digest where there is no registry."""

    def stamp(self, request_id: str) -> Stamp:
        """Return what an answer to a request says about where it came from."""
        return Stamp(model_version=self.version, request_id=request_id, bundle_digest=self.recogniser.digest)


def load_warm(folder: Path) -> Recogniser:
    """Load a bundle folder and read one blank line with it, so that the first request does not pay for it.

    Raises:
        BundleError: missing, incomplete, altered, or of another version.
    """
    recogniser = Recogniser.load(folder)
    blank = io.BytesIO()
    Image.new("L", (256, 64), 255).save(blank, "PNG")
    recogniser.read([blank.getvalue()])
    return recogniser


def signed_only(load: Load, public_key: Path) -> Load:
    """Return a way to load that refuses what the holder of a key does not vouch for, before a file is parsed.

    The bytes that are loaded are those that were verified: a copy, in a folder that only this user may enter.
    Whoever may write the bundle's own folder can exchange nothing in between.
    """

    def load_signed(folder: Path) -> Observer:
        with tempfile.TemporaryDirectory(prefix="quillflow-verified-") as private:
            copy = Path(private) / "bundle"
            try:
                if folder.is_dir():  # else the check says what is wrong
                    shutil.copytree(folder, copy, symlinks=True)
            except (OSError, shutil.Error) as error:
                reason = getattr(error, "strerror", None) or "a file cannot be copied"
                raise BundleError(
                    f"{folder}: cannot be copied to be verified ({reason}); fix it, or give TMPDIR more room"
                ) from error
            try:
                verify_bundle(copy, public_key)
                return load(copy)
            except BundleError as error:  # a SignatureError among them: what was given is at fault, not the copy
                raise type(error)(str(error).replace(str(copy), str(folder))) from error

    return load_signed


def serve_bundle(folder: Path, *, version: str = "", load: Load = load_warm) -> Served:
    """Load a bundle folder, ready to answer.

    Args:
        folder: the bundle.
        version: registry version, or "" for a short digest.
        load: how; by default into this process.

    Raises:
        BundleError: missing, incomplete, altered, or of another version.
    """
    recogniser = load(folder)
    return Served(recogniser=recogniser, version=version or short(recogniser.digest))
