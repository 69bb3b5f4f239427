"""Datasets that the pipeline must refuse, each with one message."""

import subprocess
import sys
from pathlib import Path

from htr.lines import LinesDataset, LinesWriter
from tests.conftest import make_line

ROOT = Path(__file__).parents[2]


def pipelines(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pipelines", *map(str, arguments)]


def test_a_dataset_that_must_not_be_learnt_from_stops_with_a_readable_list(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        for n in range(200):
            writer.add(make_line("some text", n, split=("train", "val", "test")[n % 3], writer="one hand"))
    command = pipelines("run", "--root", tmp_path / "r", "-p", f"lines={tmp_path / 'd'}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "writer" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_altered_dataset_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        for n in range(9):
            writer.add(make_line("some text", n, split=("train", "val", "test")[n % 3]))
    shard = tmp_path / "d" / LinesDataset.open(tmp_path / "d").info.shards[0]["file"]
    shard.write_bytes(shard.read_bytes()[:-20])
    command = pipelines("run", "--root", tmp_path / "r", "-p", f"lines={tmp_path / 'd'}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{shard.name}: altered" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
