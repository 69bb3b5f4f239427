"""Docker or Podman as a program: finds one that can build these images, and runs it."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import ServiceError, SettingsError


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A container program, and the environment that it is called with."""

    program: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman, which knows other options here and there."""
        return Path(self.program).name.startswith("podman")

    def run(self, *words: str | Path, stdin: str | None = None) -> str:
        """Run a command and return what it printed.

        Raises:
            ServiceError: it failed; the message ends with its own last words.
        """
        done = subprocess.run(
            [self.program, *map(str, words)],
            env={**os.environ, **self.environ},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceError(f"{self.program} {words[0]}: {_last_lines(done.stderr)}")
        return done.stdout

    def build(self, words: Sequence[str | Path], *, cwd: Path) -> None:
        """Run a build whose progress goes where ours goes.

        Raises:
            ServiceError: it failed.
        """
        command = [self.program, "build", *map(str, words)]
        done = subprocess.run(command, env={**os.environ, **self.environ}, cwd=cwd, check=False)
        if done.returncode:
            raise ServiceError(f"{self.program} build failed (exit {done.returncode}); its reason is told above")

    def import_folder(self, folder: Path, name: str) -> None:
        """Make an image of one layer out of a folder.

        Raises:
            ServiceError: it failed.
        """
        with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
            done = subprocess.run(
                [self.program, "import", "-", name],
                env={**os.environ, **self.environ},
                stdin=tar.stdout,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode or tar.returncode:
            raise ServiceError(f"{self.program} import of {folder}: {_last_lines(done.stderr)}")


def find_engine(program: str = "") -> Engine:
    """Return the program that was named, or the first that is here and can mount secrets into a build.

    Docker's own program hands a build to BuildKit by a plugin, buildx; before release 23 it did so itself.

    Raises:
        SettingsError: none is here, or none that can.
    """
    tried = []
    for name in [program] if program else ["docker", "podman", "/usr/bin/docker"]:
        found = shutil.which(name)
        if found is None:
            continue
        engine = Engine(program=found, environ={"DOCKER_BUILDKIT": "1"})
        if engine.is_podman or _has_buildkit(engine):
            return engine
        tried.append(found)
    if tried:
        raise SettingsError(f"{', '.join(tried)}: cannot build with BuildKit; install its plugin docker-buildx")
    raise SettingsError(f"{program or 'docker, podman'}: no such program; install Docker (with buildx) or Podman")


def _has_buildkit(engine: Engine) -> bool:
    told = subprocess.run([engine.program, "buildx", "version"], capture_output=True, text=True, check=False)
    if told.returncode == 0:
        return True
    version = subprocess.run([engine.program, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.removeprefix("Docker version ").partition(".")[0]
    return major.isdecimal() and 18 < int(major) < 23


def _last_lines(text: str, most: int = 5) -> str:
    return "\n".join(text.strip().splitlines()[-most:])
