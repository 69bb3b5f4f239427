"""pyproject.toml and requirements.lock in, one list of packages with hashes an image out.

The versions are those of requirements.lock; uv adds the hashes that the package index tells for them. torch and
what only one build of it needs stand in lists of their own, so that both variants share the rest:

    build.lock          what the build itself needs, and no image keeps: uv, setuptools
    NAME.lock           all that an image holds; for the image of the steps, all but torch
    torch-cpu.lock      torch for processors; its version has a local part, so no other build fits
    torch-cuda.lock     torch as the public index has it, and NVIDIA's libraries
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from htr.errors import ServiceError, SettingsError
from k8s.images.catalogue import LOCKS, ROOT, TORCH, Image, catalogue

PYTHON = "3.11"
"""Of the base image; lists of another one may hold other packages."""
BUILD = ("uv", "setuptools")
_ENTRY = re.compile(r"^(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>\S+)")
_TITLE = "# Written by `make lock-images`; versions are those of requirements.lock.\n"


def read_lock(file: Path) -> dict[str, str]:
    """Return the version of every package in a list."""
    found = (_ENTRY.match(line) for line in file.read_text(encoding="utf-8").splitlines())
    return {entry["name"]: entry["version"] for entry in found if entry}


def write_locks(environ: Mapping[str, str], *, folder: Path = LOCKS) -> list[Path]:
    """Ask the package index for the hashes of every image's packages, and write the lists.

    Args:
        environ: uv's settings among it: where the index is, and in UV_FIND_LINKS where torch's CPU build is.
        folder: where the lists go.

    Raises:
        ServiceError: uv could not resolve them; its own words are part of the message.
        SettingsError: no CPU build of torch is to be had.
    """
    lists: dict[str, dict[str, str]] = {"build": _resolved(BUILD, environ)}
    for image in catalogue().values():
        if image.has_torch:
            lists |= _with_torch(image, environ)
        else:
            lists[image.name] = _resolved(image.extras, environ)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, entries in lists.items():
        file = folder / f"{name}.lock"
        file.write_text(_TITLE + "".join(entries[key] for key in sorted(entries)), encoding="utf-8")
        written.append(file)
    return written


def _with_torch(image: Image, environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the list of an image in three parts: what all variants share, and what one build of torch brings."""
    cpu = _resolved(image.extras, environ)
    if "+cpu" not in cpu["torch"].partition("\n")[0]:
        raise SettingsError(
            "found no CPU build of torch: set UV_FIND_LINKS to a folder or page that has its wheel, or "
            "UV_TORCH_BACKEND=cpu"
        )
    public = {key: value for key, value in environ.items() if key not in {"UV_FIND_LINKS", "UV_TORCH_BACKEND"}}
    variants = dict(zip(TORCH, (cpu, _resolved(image.extras, public)), strict=True))
    shared = {key: text for key, text in cpu.items() if variants["cuda"].get(key) == text}
    parts = {image.name: shared}
    for variant, entries in variants.items():
        parts[f"torch-{variant}"] = {key: text for key, text in entries.items() if key not in shared}
    return parts


def _resolved(wanted: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the entry of every package, version and hashes, that extras or packages come to."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--generate-hashes", "--python-version", PYTHON]
    command += ["--python-platform", "x86_64-unknown-linux-gnu", "--no-header", "--no-annotate", "--quiet"]
    if wanted == BUILD:
        command += ["-"]
    else:
        command += ["pyproject.toml", *(word for extra in wanted for word in ("--extra", extra))]
        command += ["--constraint", "requirements.lock"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=dict(environ),
        input="\n".join(_pinned(BUILD)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"uv could not resolve {', '.join(wanted)}: {done.stderr.strip()}")
    entries: dict[str, str] = {}
    name = ""
    for line in done.stdout.splitlines(keepends=True):
        if entry := _ENTRY.match(line):
            name = entry["name"]
        entries[name] = entries.get(name, "") + line
    return entries


def _pinned(names: tuple[str, ...]) -> list[str]:
    """Return packages at the version of this environment: the one that everything was tried with."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]
