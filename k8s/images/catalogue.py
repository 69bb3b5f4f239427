"""The four images: where the recipe of each lies, and which locked packages it gets."""

from dataclasses import dataclass
from pathlib import Path

from htr.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "k8s" / "images" / "locks"
PREFIX = "quillflow"
"""Begins every image's name, as the manifests know them."""
TORCH = ("cpu", "cuda")
"""Builds of torch that the image of the steps may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image of the project."""

    name: str
    folder: str
    """Where its Dockerfile lies."""
    extras: tuple[str, ...]
    """Extras of pyproject.toml that it holds."""
    most_mb: int
    """What it may weigh, base included, in units of 10^6 bytes."""

    def __post_init__(self) -> None:
        if not (ROOT / self.folder / "Dockerfile").is_file():
            raise ValueError(f"Image.folder: {self.folder}/Dockerfile is not there")

    @property
    def dockerfile(self) -> Path:
        """The recipe."""
        return ROOT / self.folder / "Dockerfile"

    @property
    def has_torch(self) -> bool:
        """Whether it comes in variants, one a build of torch."""
        return "train" in self.extras

    def tagged(self, tag: str) -> str:
        """Return its full name with a tag."""
        return f"{PREFIX}/{self.name}:{tag}"


def catalogue() -> dict[str, Image]:
    """Return every image by its name."""
    images = (
        Image(name="components", folder="components", extras=("pipeline", "train"), most_mb=2500),
        Image(name="serving", folder="serving", extras=("pages", "serving"), most_mb=700),
        Image(name="monitoring", folder="monitoring", extras=("monitoring", "submit"), most_mb=900),
        Image(name="web", folder="serving/web", extras=("web",), most_mb=700),
    )
    return {image.name: image for image in images}


def images_named(names: list[str]) -> list[Image]:
    """Return images by their names; all of them where none is named.

    Raises:
        SettingsError: there is no such image.
    """
    known = catalogue()
    for name in names:
        if name not in known:
            raise SettingsError(f"no image is called {name!r}; known: {', '.join(known)}")
    return [known[name] for name in names or known]
