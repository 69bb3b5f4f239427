"""Files of the project that a page names are there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, inline_code, name, text_of

_FOLDERS = "htr|components|pipelines|serving|monitoring|k8s|benchmarks|tests|docs"
_PATH = re.compile(
    rf"(?:{_FOLDERS})/[\w./*-]*|(?:README|CHANGELOG)\.md|Makefile|pyproject\.toml|requirements\.lock"
)
_MODULE = re.compile(rf"(?:{_FOLDERS})(?:\.[A-Za-z_]\w*)+(?<!\.lock)(?<!\.org)")
_SOURCE = re.compile(r"\w+\.(?:py|sh)")


@cache
def names_of_files() -> frozenset[str]:
    return frozenset(file.name for folder in _FOLDERS.split("|") for file in (ROOT / folder).rglob("*.*"))


def missing(page: Path) -> list[str]:
    """Return what a page names in backticks and is nowhere."""
    found = []
    for piece in inline_code(page):
        for word in piece.split():
            path = word.partition(":")[0].rstrip(".,;")
            if re.search(r"\b[A-Z]+\.", path) and not path.startswith(("README", "CHANGELOG")):  # NAME.py
                continue
            if _PATH.fullmatch(path):
                there = (ROOT / path).exists() or ("*" in path and any(ROOT.glob(path)))
            elif _SOURCE.fullmatch(word):
                there = word in names_of_files()
            elif _MODULE.fullmatch(word):
                there = is_module(word)
            else:
                continue
            if not there:
                found.append(word)
    return found


def is_module(dotted: str) -> bool:
    """Return whether a dotted name is a module, or stands in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        rest = parts[count:]
        if path.with_suffix(".py").is_file() or path.is_dir():
            file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            return all(re.search(rf"\b{re.escape(part)}\b", text) for part in rest)
    return False


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    assert missing(page) == []


def test_the_tree_of_the_readme_is_the_folder() -> None:
    tree = re.search(r"```\n(htr/.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    assert tree
    folder = ROOT
    for line in tree[1].splitlines():
        found = re.match(r"(  )?([\w./]+)( {2,}|$)", line)
        if not found:  # goes on with what the line above says
            continue
        path = (folder if found[1] else ROOT) / found[2]
        assert path.exists(), line
        if not found[1]:
            folder = path


def test_the_tree_of_the_readme_names_every_page() -> None:
    tree = re.search(r"^docs/ .*?```", text_of(ROOT / "README.md"), re.DOTALL | re.MULTILINE)
    assert tree
    named = set(re.findall(r"[\w-]+", tree[0])) - {"docs"}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= named


def test_a_path_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "See `htr/nothing.py`, `htr/model.py`, `htr.model.PRESETS`, `htr.model.NONE` and `tests/*/none`.\n"
    )
    assert missing(page) == ["htr/nothing.py", "htr.model.NONE", "tests/*/none"]
