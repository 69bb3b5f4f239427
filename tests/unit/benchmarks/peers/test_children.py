import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.peers.children import Children, last_words, read_progress
from benchmarks.peers.meter import Meter, tell
from benchmarks.peers.protocol import PROJECT

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

STAYS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1] + ".partial", "w").write(f"{os.getpid()} {child.pid}")
os.replace(sys.argv[1] + ".partial", sys.argv[1])
time.sleep(60)
"""
"""Writes its own process id and that of a child, and stays, as a training with loader processes does."""


def pids(file: Path) -> list[int]:
    limit = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < limit
        time.sleep(0.05)
    return [int(word) for word in file.read_text().split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(processes: list[int]) -> bool:
    limit = time.monotonic() + 10
    while any(map(alive, processes)) and time.monotonic() < limit:
        time.sleep(0.05)
    return not any(map(alive, processes))


@linux
def test_a_child_and_its_children_end_when_their_time_is_up(tmp_path: Path) -> None:
    told = tmp_path / "pids"
    children = Children("peer", lambda _: None)
    ended = children.run(
        [sys.executable, "-c", STAYS, str(told)], log=tmp_path / "log", doing="staying", seconds=3
    )
    assert ended.timed_out
    assert ended.status == 128 + signal.SIGKILL
    assert 3 <= ended.seconds < 20
    assert gone(pids(told))


@linux
def test_nothing_is_left_when_the_bench_is_killed_outright(tmp_path: Path) -> None:
    told = tmp_path / "pids"
    code = (
        "import sys; from pathlib import Path; from benchmarks.peers.children import Children; "
        "command = [sys.executable, '-c', sys.argv[1], sys.argv[2]]; "
        "Children('peer', print).run(command, log=Path(sys.argv[3]), doing='staying')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, STAYS, str(told), str(tmp_path / "log")], cwd=PROJECT)
    processes = pids(told)
    assert all(map(alive, processes))
    parent.kill()
    parent.wait()
    assert gone(processes)


@linux
def test_what_a_child_leaves_behind_at_its_own_end_is_ended_too(tmp_path: Path) -> None:
    told = tmp_path / "pids"
    code = STAYS.replace("time.sleep(60)\n", "sys.exit(3)\n")
    ended = Children("peer", lambda _: None).run(
        [sys.executable, "-c", code, str(told)], log=tmp_path / "log", doing="leaving"
    )
    assert (ended.status, ended.timed_out) == (3, False)
    assert gone(pids(told)[1:])


def test_a_child_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = Children("peer", lambda _: None).run(["/no/such/program"], log=log, doing="starting")
    assert ended.status == 127
    assert last_words(log) == "/no/such/program: cannot be started (No such file or directory)"


def test_progress_is_shown_with_the_time_left(tmp_path: Path) -> None:
    progress, said = tmp_path / "progress", []
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.peers.meter import tell; "
        "tell(Path(sys.argv[1]), {'lines': 1200, 'lines_per_s': 40.0, 'validation_cer': 0.5}); time.sleep(1.5)"
    )
    Children("peer", said.append, every_s=0.4).run(
        [sys.executable, "-c", code, str(progress)],
        log=tmp_path / "log",
        doing="training",
        seconds=60,
        progress=progress,
        variables={"PYTHONPATH": str(PROJECT)},
    )
    assert any("peer: training, 1,200 lines, 40 lines/s, validation CER 50.0%, 0:5" in line for line in said)


def test_a_child_is_ended_once_it_has_done_enough(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.peers.meter import tell; "
        "[(tell(Path(sys.argv[1]), {'lines': n}), time.sleep(0.1)) for n in range(600)]"
    )
    ended = Children("peer", lambda _: None).run(
        [sys.executable, "-c", code, str(progress)],
        log=tmp_path / "log",
        doing="counting",
        progress=progress,
        enough=lambda told: told.get("lines", 0) >= 5,
        variables={"PYTHONPATH": str(PROJECT)},
    )
    assert ended.timed_out
    assert 5 <= read_progress(progress)["lines"] < 300


@linux
def test_a_child_is_pinned_to_its_cores(tmp_path: Path) -> None:
    cpus, log = sorted(os.sched_getaffinity(0)), tmp_path / "log"
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    Children("peer", lambda _: None, cpus=cpus).run(
        [sys.executable, "-c", code], log=log, doing="looking", num_cpus=1
    )
    assert last_words(log) == str(cpus[:1])


def test_the_clock_counts_training_and_neither_the_first_batch_nor_validation(tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    meter = Meter(file)
    for seconds in (0.3, 0.02, 0.02):
        meter.resume()
        time.sleep(seconds)
        meter.batch(16)
    meter.pause()
    time.sleep(0.5)
    meter.validated(0.25)
    told = read_progress(file)
    assert told["lines"] == 48
    assert 0.34 <= told["training_s"] < 0.8
    assert 32 / 0.45 < told["lines_per_s"] <= 32 / 0.04  # neither the first batch nor the validation is in it
    assert (told["validation_cer"], len(told["validations"])) == (0.25, 1)


def test_a_progress_file_that_is_absent_or_damaged_says_nothing(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "none") == {}
    (tmp_path / "half").write_text('{"lines": 1')
    assert read_progress(tmp_path / "half") == {}
    tell(tmp_path / "whole", {"lines": 1})
    assert read_progress(tmp_path / "whole") == {"lines": 1}
