"""Names of the benchmarks: run as scripts, their folder comes first where Python looks for modules."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_no_benchmark_hides_a_module_of_pythons_own() -> None:
    names = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}
    assert names
    assert not names & sys.stdlib_module_names
