import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
STORIES = {
    "promoted": (["advance", "promote", "finish"], [[100, 0], [50, 50], [0, 100], [100, 0]], "b", "2"),
    "rolled_back": (["advance", "roll_back"], [[100, 0], [50, 50], [100, 0]], "a", "1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("result", STORIES)
def test_killed_at_any_write_a_rollout_comes_to_the_same_end_by_the_same_weights_once(
    tmp_path: Path, result: str
) -> None:
    command = [sys.executable, "-m", "tests.rollout_kills", str(tmp_path), result]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) > 30, "every record is a place, before it is on disk and after, and so is every act"
    assert [one["killed"] for one in told] == [True] * (len(told) - 1) + [False]
    choices, weights, letter, alias = STORIES[result]
    for one in told:
        assert one["phase"] == "ended", one
        assert one["result"] == [result], one
        assert one["weights"] == weights, one
        assert one["decided"] == one["done"] == choices, one
        assert not one["gaps"], one
        assert one["alias"] == alias, one
        assert one["uri"].endswith(letter * 64), one
