"""Rounds in which what the loop stands on is away, slow, refuses or lies, by a proxy before the real server."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests import ceph
from tests.faults import away_kfp, away_prometheus, away_store
from tests.faults.fate import Fate
from tests.faults.rounds import Round

Play = Callable[[Path, random.Random, str], tuple[Fate, list[str]]]


def away_rounds(
    folder: Path, *, seed: int, count: int, seconds: float, first: int = 0, only: str = ""
) -> Iterator[Round]:
    """Play rounds until so many are played or so much time is gone; parts and faults take turns.

    Args:
        folder: whose rounds that went wrong stay.
        seed: of all that happens.
        count: rounds.
        seconds: at most.
        first: number of the first round.
        only: play this part alone.
    """
    until = time.monotonic() + seconds
    with ExitStack() as running:
        parts: dict[str, tuple[Play, tuple[str, ...]]] = {}
        if not ceph.MISSING:
            gateway = running.enter_context(away_store.served(folder / "ceph"))
            parts["S3"] = (partial(away_store.play, gateway), away_store.KINDS)
        parts["KFP, governor"] = (away_kfp.play_governor, away_kfp.KINDS)
        parts["KFP, submit"] = (away_kfp.play_submit, away_kfp.KINDS)
        if not away_prometheus.MISSING:
            scraped = running.enter_context(away_prometheus.served(folder / "prometheus"))
            parts["Prometheus, rollout"] = (partial(away_prometheus.play, scraped), away_prometheus.KINDS)
        names = [name for name in parts if only in name]
        for number in range(first, count):
            if time.monotonic() > until:
                return
            name = names[number % len(names)]
            play, kinds = parts[name]
            fault = kinds[(number // len(names)) % len(kinds)]
            world = folder / f"away-{number:04}"
            world.mkdir(parents=True)
            fate, wrong = play(world, random.Random(f"{seed} {number} {name}"), fault)
            yield Round(
                part=name, fault=fault, seed=number, place=fate.place, struck=bool(fate.struck), wrong=wrong
            )
            if not wrong:
                shutil.rmtree(world)
