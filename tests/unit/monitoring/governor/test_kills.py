import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
def test_killed_at_any_write_of_state_the_same_runs_come_of_it_and_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.governor_kills", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    *killed, whole = told
    assert len(killed) > 50, "every record is a place, before it is on disk and after"
    assert not whole["killed"]
    for one in killed:
        assert one["killed"], one
        assert len(set(one["keys"])) == len(one["keys"]), one
        assert not one["gaps"], one
        assert one["alerts"] >= 1, one  # again, where the other process saw the model come back
        assert one["keys"] == one["decided"], one
        assert len(one["started"]) == len(one["keys"]) == 2, one
        assert len(one["ended"]) == 2, one
        assert one["champion"] == "B", one
        assert one["requests"], one
