"""Tesseract's command beside our server: one process a line, as scripts call it, so many at a time."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.serving_load import Answer, percentile

PROGRAM = "tesseract"
LANGUAGE = "fra"


def tesseract(images: list[bytes], *, at_once: int, seconds: float) -> dict[str, Any]:
    """Read lines with Tesseract for some seconds, each by a process of one thread.

    Args:
        images: encoded line images.
        at_once: processes at the same time.
        seconds: how long.

    Returns:
        lines/s, median and 99th percentile of a line's time in ms; or why it was not run.
    """
    if shutil.which(PROGRAM) is None:
        return {"not_run": f"{PROGRAM} is not installed"}
    version, languages = _say("--version").split()[1], _say("--list-langs").split()
    language = LANGUAGE if LANGUAGE in languages else "eng"
    command = [PROGRAM, "stdin", "stdout", "-l", language, "--psm", "7"]
    started = time.perf_counter()

    def read(number: int) -> list[Answer]:
        found: list[Answer] = []
        while time.perf_counter() - started < seconds:
            line = (number * 31 + len(found)) % len(images)
            began = time.perf_counter()
            done = subprocess.run(
                command, input=images[line], capture_output=True, env={"OMP_THREAD_LIMIT": "1"}, check=False
            )
            found.append(Answer(line=line, status=done.returncode, seconds=time.perf_counter() - began))
        return found

    with ThreadPoolExecutor(at_once) as pool:
        answers = [answer for found in pool.map(read, range(at_once)) for answer in found]
    took = time.perf_counter() - started
    return {
        "version": version,
        "language": language,
        "at_once": at_once,
        "lines_per_s": round(len(answers) / took, 1),
        "p50_ms": round(percentile(answers, 0.5) * 1e3, 1),
        "p99_ms": round(percentile(answers, 0.99) * 1e3, 1),
        "failed": sum(answer.status != 0 for answer in answers),
    }


def _say(flag: str) -> str:
    done = subprocess.run([PROGRAM, flag], capture_output=True, text=True, check=True)
    return done.stdout or done.stderr
