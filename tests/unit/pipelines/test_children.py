"""Commands as child processes."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipelines.children import PROJECT, run_module
from tests.servers import wait_until

SWALLOWED = """
import os, signal, sys
from pipelines.children import run_module, stop_on_signals

stop_on_signals()
seen = []

def on_line(line):
    seen.append(line)
    if len(seen) == 1:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10**6): pass
        except KeyboardInterrupt:
            pass  # as when garbage is being collected

try:
    run_module(["timeit", "-n", "1", "-r", "200", "-s", "import time", "print('x', flush=True); time.sleep(0.1)"],
               on_line, stop=signal.SIGKILL)
except KeyboardInterrupt:
    print(len(seen), "lines, then stopped")
"""


def test_lines_come_in_order_and_the_exit_code_is_told() -> None:
    lines: list[str] = []
    assert run_module(["this"], lines.append, stop=signal.SIGKILL) == 0
    assert lines[0].startswith("The Zen of Python")
    assert run_module(["no_such_module"], lines.append, stop=signal.SIGKILL) == 1
    assert "no_such_module" in lines[-1]


def test_an_interrupt_that_python_drops_stops_it_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1 lines, then stopped"


def test_a_child_does_not_outlive_an_error_of_ours() -> None:
    before = set(psutil.Process(os.getpid()).children(recursive=True))

    def refuse(line: str) -> None:
        raise ValueError(line)

    told = ["timeit", "-n", "1", "-r", "500", "import time; print('x', flush=True); time.sleep(0.1)"]
    with pytest.raises(ValueError, match="x"):
        run_module(told, refuse, stop=signal.SIGKILL)
    wait_until(lambda: set(psutil.Process(os.getpid()).children(recursive=True)) <= before, timeout_s=10)
