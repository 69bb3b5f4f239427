"""docs/settings.md lists the variables that the code reads, and no others."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, name, text_of

PAGE = ROOT / "docs" / "settings.md"
FOLDERS = ("htr", "components", "pipelines", "serving", "monitoring", "k8s", "benchmarks")
_OURS = re.compile(r"QUILLFLOW_[A-Z][A-Z_]*[A-Z]")
_READ = re.compile(r'\benviron(?:ment)?(?:\.get\(|\[)"([A-Z0-9_]+)"(?!\] =)')
_SET_BY_US = {"GX_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"}


def rows(heading: str) -> dict[str, Path]:
    """Return the variables of a table below a heading, each with the file that reads it."""
    table = re.split(rf"^## {re.escape(heading)}$", text_of(PAGE), flags=re.MULTILINE)[1].partition("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| (`.*) \|$", table, re.MULTILINE):
        names, *_, file = row.split(" | ")
        for variable in re.findall(r"`([A-Z0-9_]+)`", names):
            found[variable] = ROOT / file.strip("`")
    return found


def constants(files: Iterable[Path]) -> set[str]:
    """Return the names of our variables that stand in code as strings of their own, docstrings aside."""
    found = set()
    for file in files:
        text = file.read_text(encoding="utf-8")
        if "QUILLFLOW_" in text:
            nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
            found |= {node.value for node in nodes if isinstance(node.value, str) and _OURS.fullmatch(node.value)}
    return found


def code() -> list[Path]:
    return [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]


def test_our_variables_in_the_code_are_those_of_the_page() -> None:
    assert constants(code()) == set(rows("Ours"))


def test_the_tests_own_variables_are_those_of_the_page() -> None:
    tests = (file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__))
    assert constants(tests) - set(rows("Ours")) == set(rows("Ours, for tests"))


def test_other_peoples_variables_that_the_code_reads_are_on_the_page() -> None:
    read = {found for file in code() for found in _READ.findall(file.read_text(encoding="utf-8"))}
    assert {"MLFLOW_TRACKING_URI", "AWS_PROFILE", "QUILLFLOW_HEALTH"} <= read
    assert read - set(rows("Ours")) - set(rows("Other people's, read by us")) <= _SET_BY_US


def test_every_variable_is_read_where_the_page_says() -> None:
    for heading in ("Ours", "Ours, for tests", "Other people's, read by us"):
        for variable, file in rows(heading).items():
            assert re.search(rf"""["']{variable}["']""", file.read_text(encoding="utf-8")), variable


def test_no_page_names_a_variable_that_nobody_reads() -> None:
    known = {*rows("Ours"), *rows("Ours, for tests")}
    files = [*PAGES, ROOT / "Makefile", *(ROOT / "k8s").rglob("*.yaml"), *(ROOT / "k8s").rglob("*.env")]
    files += [
        *(ROOT / "k8s").rglob("*.sh"),
        *(ROOT / "serving").rglob("Dockerfile"),
        *(ROOT / "monitoring").glob("Dockerfile"),
    ]
    unknown = {
        (name(file), found) for file in files for found in _OURS.findall(text_of(file)) if found not in known
    }
    assert unknown == set()
