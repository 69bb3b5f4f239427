"""The images' lists of packages: complete, hashed, and of the versions that everything else was tried with."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from k8s.images.catalogue import LOCKS, ROOT, TORCH, catalogue
from k8s.images.locks import read_lock

LINUX = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "python_version": "3.11",
    "python_full_version": "3.11.2",
}
REMEDY = "run `make lock-images`"


def wanted(extras: tuple[str, ...]) -> set[str]:
    """Return the packages that pyproject.toml names for an image, extras of extras among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names: set[str] = set()
    waiting = [
        *project["dependencies"],
        *(line for one in extras for line in project["optional-dependencies"][one]),
    ]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker is not None and not requirement.marker.evaluate(LINUX):
            continue
        if requirement.name == "quillflow":
            waiting += [line for one in requirement.extras for line in project["optional-dependencies"][one]]
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def locked_for_linux() -> dict[str, str]:
    """Return the version of every package that requirements.lock has for the images' Python."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    requirements = [Requirement(line) for line in lines]
    here = [one for one in requirements if one.marker is None or one.marker.evaluate(LINUX)]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


@pytest.mark.parametrize("image", catalogue().values(), ids=lambda image: image.name)
def test_a_list_holds_whatever_pyproject_names_for_its_image(image) -> None:
    lists = [image.name, *(f"torch-{TORCH[0]}" for _ in [0] if image.has_torch)]
    held = {name for one in lists for name in read_lock(LOCKS / f"{one}.lock")}
    assert wanted(image.extras) <= held, REMEDY


@pytest.mark.parametrize("file", sorted(LOCKS.glob("*.lock")), ids=lambda file: file.stem)
def test_versions_are_those_of_the_environment_and_every_file_is_proven_by_a_hash(file) -> None:
    common = locked_for_linux()
    for name, version in read_lock(file).items():
        if name not in {"uv"}:  # makes the environment, and is no part of it
            assert common[name] == version.partition("+")[0], f"{name}: {REMEDY}"
    entries = re.split(r"^(?=[a-z0-9])", file.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) == len(read_lock(file))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)


def test_the_variants_share_all_but_torch_and_what_it_brings() -> None:
    shared, cpu, cuda = (read_lock(LOCKS / f"{one}.lock") for one in ("components", "torch-cpu", "torch-cuda"))
    assert set(cpu) == {"torch"}
    assert not set(shared) & set(cuda)
    assert cpu["torch"] == f"{cuda['torch']}+cpu"
    assert any(name.startswith("nvidia-") for name in cuda)
