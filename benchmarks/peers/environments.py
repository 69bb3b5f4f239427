"""An environment of its own for each peer: made by uv, versions pinned in ``requirements/NAME.txt``."""

import shutil
import sys
from pathlib import Path

from benchmarks.peers.children import last_words
from benchmarks.peers.protocol import PeerError, Site

REQUIREMENTS = Path(__file__).with_name("requirements")
INSTALL_S = 1800.0
"""Seconds before an installation is given up."""


def python_of(environment: Path) -> Path:
    """Return the environment's interpreter."""
    return environment / "bin" / "python"


def uv_program() -> str | None:
    """Return uv: the one beside our interpreter, or the user's."""
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def make_environment(site: Site, requirements: Path, *, python: str) -> None:
    """Make the environment, unless it is there with these very requirements.

    Args:
        site: of the peer.
        requirements: every version, pinned.
        python: version of the interpreter that the peer needs, ``3.11``.

    Raises:
        PeerError: uv is missing, or the installation failed.
    """
    ready = site.environment / ".ready"
    pins = requirements.read_text(encoding="utf-8")
    if ready.is_file() and ready.read_text(encoding="utf-8") == pins:
        return
    uv = uv_program()
    if uv is None:
        raise PeerError("uv is not there to make its environment with; pip install uv")
    shutil.rmtree(site.environment, ignore_errors=True)
    site.environment.parent.mkdir(parents=True, exist_ok=True)
    log = site.folder / "install.log"
    steps = [
        [uv, "venv", "--quiet", "--python", python, str(site.environment)],
        [uv, "pip", "install", "--python", str(python_of(site.environment)), "--requirement", str(requirements)],
    ]
    for step in steps:
        ended = site.children.run(step, log=log, doing="installing", seconds=INSTALL_S)
        if ended.timed_out:
            raise PeerError(f"its installation did not end within {INSTALL_S / 60:.0f} minutes; log: {log}")
        if ended.status != 0:
            raise PeerError(f"does not install: {last_words(log)}; log: {log}")
    ready.write_text(pins, encoding="utf-8")


def pinned_version(requirements: Path, package: str) -> str:
    """Return the version that a requirements file pins a package to."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        name, equals, version = line.partition("==")
        if equals and name.strip().lower() == package:
            return version.split(";")[0].strip()
    raise ValueError(f"{requirements}: no version of {package}")
