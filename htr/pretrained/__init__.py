"""The model that ships: it reads French handwriting, and is what training starts from.

README.md beside this file is its card: what it learnt from, how well it reads, where it fails, how it was made.
"""

from pathlib import Path

from htr.errors import BundleError

PRETRAINED = "pretrained"
"""Name that stands for the shipped bundle wherever a bundle's folder is asked for."""
_FOLDER = Path(__file__).parent / "bundle"


def resolve(bundle: str | Path) -> Path:
    """Return the folder of a bundle that is given by its path, or by the name PRETRAINED.

    Raises:
        BundleError: the shipped bundle is asked for and is not part of this installation.
    """
    if str(bundle) != PRETRAINED:
        return Path(bundle)
    if not _FOLDER.is_dir():
        raise BundleError(
            f"{_FOLDER}: this installation came without the shipped model; give a bundle of your own"
        )
    return _FOLDER
