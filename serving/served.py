"""A bundle folder in, a recogniser that is ready to answer out, with the version that answers are stamped with."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from htr.bundle import short
from htr.recogniser import Recogniser
from serving.stamp import Stamp


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A recogniser with the version that answers are stamped with."""

    recogniser: Recogniser
    version: str
    """Registry version, or a short bundle digest where there is no registry."""

    def stamp(self, request_id: str) -> Stamp:
        """Return what an answer to a request says about where it came from."""
        return Stamp(model_version=self.version, request_id=request_id, bundle_digest=self.recogniser.digest)


def serve_bundle(folder: Path, *, version: str = "") -> Served:
    """Load a bundle folder and read one blank line with it, so that the first request does not pay for it.

    Args:
        folder: the bundle.
        version: registry version, or "" for a short digest.

    Raises:
        BundleError: missing, incomplete, altered, or of another version.
    """
    recogniser = Recogniser.load(folder)
    blank = io.BytesIO()
    Image.new("L", (256, 64), 255).save(blank, "PNG")
    recogniser.read([blank.getvalue()])
    return Served(recogniser=recogniser, version=version or short(recogniser.digest))
