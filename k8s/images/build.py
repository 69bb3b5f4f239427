"""Recipes and locked lists in, tagged images and a bill of materials of each out.

What a site needs to reach its packages never becomes part of an image: index addresses and credentials go in as a
BuildKit secret, a folder of wheels as an image that only the build sees.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from htr.errors import DataError, SettingsError
from k8s.images.catalogue import PREFIX, ROOT, TORCH, Image
from k8s.images.engine import Engine

SECRET_NAMES = re.compile(
    r"(UV|PIP)_\w*(INDEX|FIND_LINKS|HOST|TIMEOUT|RETRIES|NATIVE_TLS|TORCH_BACKEND)\w*|(HTTP|HTTPS|NO|ALL)_PROXY",
    re.IGNORECASE,
)
"""Variables that say where packages come from, and how to get there; a build gets no others."""
BILLS = ROOT / "build" / "sbom"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How the images are to be built."""

    tag: str
    commit: str
    """Of the code; goes into the label."""
    base: str = ""
    """Base image; "" for the one that the recipes name."""
    torch: str = "cpu"
    """Build of torch in the image of the steps."""
    wheels: Path | None = None
    """Folder of wheels that are used before any index."""
    no_index: bool = False
    """Take wheels from there only: no package index is asked."""
    network: str = ""
    """Network of the build as the container program calls it; "" for its own choice."""
    bills: Path = BILLS
    """Where the bills of materials go."""

    def __post_init__(self) -> None:
        if self.torch not in TORCH:
            raise ValueError(f"Plan.torch must be one of {', '.join(TORCH)}, got {self.torch!r}")
        if self.no_index and self.wheels is None:
            raise SettingsError("--no-index needs --wheels: packages have to come from somewhere")
        if self.wheels is not None and not any(self.wheels.glob("*.whl")):
            raise SettingsError(f"--wheels {self.wheels}: no wheels (*.whl) there")

    def tag_of(self, image: Image) -> str:
        """Return an image's full name; one with torch for NVIDIA's processors has it in its tag."""
        return image.tagged(f"{self.tag}-cuda" if image.has_torch and self.torch == "cuda" else self.tag)


def build_images(
    images: Sequence[Image], plan: Plan, engine: Engine, environ: Mapping[str, str], *, say: Callable[[str], None]
) -> None:
    """Build images, and write the bill of materials of each.

    Args:
        images: which.
        plan: how.
        engine: by which program.
        environ: uv's and pip's variables among it say where packages come from, SSL_CERT_FILE whom to trust.
        say: called with a line for every image.

    Raises:
        DataError: an image weighs more than it may.
        ServiceError: a build failed.
    """
    with _wheels_image(plan, engine) as wheels, tempfile.TemporaryDirectory(prefix="quillflow-build-") as folder:
        secrets = _secrets(environ, Path(folder))
        for image in images:
            name = plan.tag_of(image)
            engine.build([*_options(image, plan, wheels), *secrets, "--tag", name, "."], cwd=ROOT)
            bill = write_bill(name, engine, plan)
            added, whole = sizes_mb(name, engine)
            say(f"{name}: {whole} MB, {added} MB of them beyond the base; {bill}")
            if added > image.most_mb:
                raise DataError(f"{name} adds {added} MB to its base and may add {image.most_mb}")


def write_bill(name: str, engine: Engine, plan: Plan) -> Path:
    """List what an image holds, by asking the image itself; return the file."""
    script = (ROOT / "k8s" / "images" / "sbom.py").read_text(encoding="utf-8")
    short, _, tag = name.partition(":")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    alone = ["--rm", "--interactive", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    told = engine.run(
        "run", *alone, "--entrypoint", "python", name, "-", short, tag, plan.commit, now, stdin=script
    )
    json.loads(told)  # the whole of it, and nothing else
    plan.bills.mkdir(parents=True, exist_ok=True)
    file = plan.bills / f"{short.removeprefix(PREFIX + '/')}-{tag}.cdx.json"
    part = file.with_suffix(".part")
    part.write_text(told, encoding="utf-8")
    part.replace(file)
    return file


_WEIGH = """
import os
print(sum(os.lstat(os.path.join(at, one)).st_size
          for top in ("/opt/venv", "/app") for at, _, files in os.walk(top) for one in files))
"""
"""Adds up all that a recipe puts beyond its base; prints bytes."""


def sizes_mb(name: str, engine: Engine) -> tuple[int, int]:
    """Return what an image adds to its base and what it weighs in all, in units of 10^6 bytes."""
    (told,) = json.loads(engine.run("image", "inspect", name))
    if engine.is_podman:  # weighs layers as archives: a header and the rest of a block more for every file
        words = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--entrypoint", "python")
        return round(int(engine.run(*words, name, "-c", _WEIGH)) / 1e6), round(told["Size"] / 1e6)
    layers = engine.run("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", name)
    added = 0
    for line in layers.splitlines():
        size, _, made_by = line.partition("\t")
        added += int(size)
        if "WORKDIR /app" in made_by:  # the first line of a recipe after its base
            break
    return round(added / 1e6), round(told["Size"] / 1e6)


def secret_lines(environ: Mapping[str, str]) -> str:
    """Return the settings of uv, pip and proxies that a build needs, one shell assignment a line."""
    lines = []
    for name, value in sorted(environ.items()):
        if not SECRET_NAMES.fullmatch(name) or value.startswith(("/", "~")):
            continue  # places on the building machine, which a build does not see
        quoted = value.replace("'", "'\\''")
        lines.append(f"{name}='{quoted}'\n")
    return "".join(lines)


def _options(image: Image, plan: Plan, wheels: str) -> list[str | Path]:
    options: list[str | Path] = ["--file", image.dockerfile, "--build-arg", f"GIT_SHA={plan.commit}"]
    if plan.base:
        options += ["--build-arg", f"BASE_IMAGE={plan.base}"]
    if wheels:
        options += ["--build-arg", f"WHEELS_IMAGE={wheels}"]
    if plan.no_index:
        options += ["--build-arg", "NO_INDEX=1"]
    if plan.network:
        options += ["--network", plan.network]
    if image.has_torch:
        options += ["--build-arg", f"TORCH={plan.torch}"]
    return options


def _secrets(environ: Mapping[str, str], folder: Path) -> list[str]:
    """Write the secrets of a build into a folder of ours; return the options that hand them over."""
    options = []
    if lines := secret_lines(environ):
        file = folder / "packages"
        file.touch(mode=0o600)
        file.write_text(lines, encoding="utf-8")
        options += ["--secret", f"id=packages,src={file}"]
    trusted = environ.get("SSL_CERT_FILE") or environ.get("PIP_CERT")
    if trusted and Path(trusted).is_file():
        options += ["--secret", f"id=ca,src={trusted}"]
    return options


@contextmanager
def _wheels_image(plan: Plan, engine: Engine) -> Iterator[str]:
    """Hand a folder of wheels to the builds as an image, and remove it when they are done."""
    if plan.wheels is None:
        yield ""
        return
    name = f"{PREFIX}/wheels:{plan.tag}"
    engine.import_folder(plan.wheels, name)
    try:
        yield name
    finally:
        engine.run("image", "rm", "--force", name)
