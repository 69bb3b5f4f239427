"""What a build is told, and who may do it."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from htr.errors import SettingsError
from k8s.images.__main__ import main
from k8s.images.build import Plan, secret_lines
from k8s.images.catalogue import ROOT, catalogue, images_named
from k8s.images.engine import find_engine

Program = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a container program on the path that says of itself what a test wants, and nothing else there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name: str, *, version: str, buildx: bool) -> Path:
        file = tmp_path / name
        case = "exit 0" if buildx else "exit 1"
        file.write_text(f'#!/bin/sh\n[ "$1" = buildx ] && {case}\necho "{version}"\n')
        file.chmod(0o755)
        return file

    return write


@pytest.mark.parametrize(("version", "buildx"), [("20.10.24+dfsg1, build 1", False), ("28.2.2, build 1", True)])
def test_a_docker_that_can_mount_secrets_is_taken(program: Program, version: str, buildx: bool) -> None:
    file = program("docker", version=f"Docker version {version}", buildx=buildx)
    engine = find_engine()
    assert (engine.program, engine.is_podman) == (str(file), False)


def test_podman_is_taken_where_docker_cannot(program: Program) -> None:
    program("docker", version="Docker version 28.2.2, build 1", buildx=False)
    file = program("podman", version="podman version 4.3.1", buildx=False)
    assert find_engine().program == str(file)
    with pytest.raises(SettingsError, match="docker-buildx"):
        find_engine("docker")


def test_without_any_program_it_is_said_what_to_install(program: Program) -> None:
    with pytest.raises(SettingsError, match="nobody: no such program; install Docker"):
        find_engine("nobody")


def test_a_build_is_told_where_packages_come_from_and_nothing_else() -> None:
    environ = {
        "UV_DEFAULT_INDEX": "https://user:it's@mirror/simple",
        "UV_INDEX_OURS_PASSWORD": "secret",
        "PIP_INDEX_URL": "https://mirror/simple",
        "HTTPS_PROXY": "http://proxy:3128",
        "UV_FIND_LINKS": "/srv/wheels",  # of this machine
        "UV_COMPILE_BYTECODE": "1",
        "AWS_SECRET_ACCESS_KEY": "no business of a build",
        "PATH": "/usr/bin",
    }
    lines = secret_lines(environ)
    names = [line.partition("=")[0] for line in lines.splitlines()]
    assert names == ["HTTPS_PROXY", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_OURS_PASSWORD"]
    script = f'{lines}printf %s "$UV_DEFAULT_INDEX"'
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == environ["UV_DEFAULT_INDEX"]  # whatever characters it has


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "nobody"], "no image is called 'nobody'; known: components, serving, monitoring, web"),
        (["build", "--no-index"], "--no-index needs --wheels"),
        (["build", "--wheels", "/nowhere"], "--wheels /nowhere: no wheels"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1


def test_tags_tell_the_variants_apart() -> None:
    steps, serving = images_named(["components", "serving"])
    cuda = Plan(tag="abc", commit="abc", torch="cuda")
    assert [cuda.tag_of(one) for one in (steps, serving)] == [
        "quillflow/components:abc-cuda",
        "quillflow/serving:abc",
    ]


def test_every_recipe_asks_for_its_own_list_and_runs_as_nobody() -> None:
    for image in catalogue().values():
        recipe = image.dockerfile.read_text()
        assert f"locks/{image.name}.lock" in recipe
        assert "ARG BASE_IMAGE=python:3.11-slim" in recipe
        last = recipe.rpartition("\nFROM ")[2]
        assert "USER 10001:10001" in last
        assert "HEALTHCHECK" in last
        assert "install" not in last


def test_a_build_sees_no_file_that_an_image_has_no_use_for() -> None:
    allowed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert allowed[0] == "*"
    assert not {"!tests", "!docs", "!runs", "!.git", "!.venv", "!."} & set(allowed)


def test_the_bill_of_this_environment_names_its_packages_once_each() -> None:
    command = [
        sys.executable,
        str(ROOT / "k8s" / "images" / "sbom.py"),
        "tried",
        "1",
        "abc",
        "2026-11-21T12:00:00Z",
    ]
    bill = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(references) == len(set(references))
    assert {one["name"]: one for one in bill["components"]}["numpy"]["purl"].startswith("pkg:pypi/numpy@")


def test_an_image_holds_every_package_of_the_project_that_its_own_code_imports() -> None:
    """But for pipelines, which go into the image of the steps to be submitted from it, not to run whole loops."""
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    for image in catalogue().values():
        (words,) = re.findall(r"install\.sh code (.+)", image.dockerfile.read_text())
        folders = {"htr", *words.split()}
        for folder in folders - {"pipelines"}:
            held = ROOT / ("k8s/cluster" if folder == "k8s" else folder)  # the rest of k8s stays outside
            imported = {name for file in held.rglob("*.py") for name in _imported(file)} & ours
            assert imported <= folders, f"{image.name}: {folder} needs {imported - folders}"


def _imported(file: Path) -> set[str]:
    """Return the first part of whatever a module imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
