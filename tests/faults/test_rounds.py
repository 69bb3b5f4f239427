import json
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT


def test_the_loop_recovers_from_kills_full_disks_and_jumping_clocks_without_hands(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    """A few rounds of those that `make trust` plays by the hundred; in a process without threads: they fork."""
    command = [sys.executable, "-m", "tests.faults", str(tmp_path), "--bundle", str(tiny_bundle), "--rounds", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    played = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one in played if one["wrong"]] == [], done.stderr
    assert (done.returncode, len(played)) == (0, 20), done.stderr
    assert {one["part"] for one in played} >= {"correction", "dataset", "publish", "log flush", "governor"}
    assert sum(one["struck"] for one in played) >= 10
