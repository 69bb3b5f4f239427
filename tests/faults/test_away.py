"""A few rounds of those that `make trust` plays by the dozen; too slow for every run of the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT

pytestmark = pytest.mark.skipif(
    not os.environ.get("QUILLFLOW_TRUST"), reason="played by make trust: QUILLFLOW_TRUST=1"
)


def played(folder: Path, bundle: Path, *flags: str) -> list[dict[str, Any]]:
    """Play rounds in a process without threads: some of them fork."""
    command = [sys.executable, "-m", "tests.faults", str(folder), "--bundle", str(bundle), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one in rounds if one["wrong"]] == [], done.stderr
    assert done.returncode == 0, done.stderr
    return rounds


@pytest.mark.parametrize("part", ["S3", "KFP, governor", "KFP, submit", "Prometheus, rollout"])
def test_the_loop_recovers_from_services_that_are_slow_refuse_or_lie(
    part: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    rounds = played(tmp_path, tiny_bundle, "--away", "--only", part, "--rounds", "4")
    assert {one["part"] for one in rounds} == {part}
    assert len({one["fault"] for one in rounds}) == len(rounds) == 4
    assert any(one["struck"] for one in rounds)


def test_a_training_that_is_disturbed_anywhere_ends_with_the_weights_of_one_left_alone(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    rounds = played(tmp_path, tiny_bundle, "--training", "--rounds", "4")
    assert len(rounds) == 4
    assert any(one["struck"] for one in rounds)
