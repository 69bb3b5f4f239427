"""Reading without any server, as fast as it goes: by the threads of one process, and by a process a core."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from htr.recogniser import Recogniser

_loaded: list[Recogniser] = []


def in_threads(recogniser: Recogniser, images: list[bytes], *, count: int, seconds: float) -> tuple[float, float]:
    """Return lines a second and processor milliseconds a line, read by so many threads of this process."""
    started, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(count) as pool:
        num_read = sum(pool.map(lambda n: _read(recogniser, images, n, started + seconds), range(count)))
    return num_read / (time.perf_counter() - started), (time.process_time() - used) / num_read * 1e3


def in_processes(bundle: Path, images: list[bytes], *, count: int, seconds: float) -> float:
    """Return lines a second, read by so many processes with a thread each; their start is not counted."""
    with ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=_load, initargs=(bundle,)
    ) as pool:
        list(pool.map(time.sleep, [0.5] * count))  # until all of them are there
        until = time.time() + 0.2 + seconds  # the wall clock is one for all
        done = list(pool.map(_read_until, [images] * count, range(count), [until] * count))
    return sum(num_read / took for num_read, took in done)


def _load(bundle: Path) -> None:
    _loaded.append(Recogniser.load(bundle))


def _read_until(images: list[bytes], number: int, until: float) -> tuple[int, float]:
    started = time.perf_counter()
    return _read(_loaded[0], images, number, started + until - time.time()), time.perf_counter() - started


def _read(recogniser: Recogniser, images: list[bytes], number: int, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        recogniser.read([images[(number * 31 + done) % len(images)]])
        done += 1
    return done
