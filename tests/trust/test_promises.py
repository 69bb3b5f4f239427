import ast
import subprocess
import sys

from tests.servers import ROOT
from tests.trust.promises import promised_tests, rows


def test_every_promise_names_a_test_that_is_collected() -> None:
    named = promised_tests()
    assert len(named) >= 25
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert len(found) == 1, f"{file} has no test {name}"
        marks = [ast.unparse(one) for one in found[0].decorator_list]
        assert not [one for one in marks if "skip" in one or "xfail" in one], f"{name} is skipped: {marks}"


def test_each_row_of_the_page_names_its_test() -> None:
    assert [row for row in rows() if "`tests/" not in row] == []


def test_pytest_collects_them_from_the_files_of_this_folder() -> None:
    """By one file of each kind: collecting all takes too long here, and the others are collected when they run"""
    here = sorted({file for file, _ in promised_tests() if file.startswith("tests/trust/")})
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "--collect-only", *here]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    for file, name in promised_tests():
        if file in here:
            assert f"{file}::{name}" in done.stdout
