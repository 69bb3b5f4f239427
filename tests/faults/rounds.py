"""Rounds of faults: a part of the loop is disturbed where a seed says, told again, and looked through."""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.killing import Ended, Kill, begin, choose_kill, finish, run
from tests.faults.parts import Part
from tests.faults.small_disk import LARGE, has_small_disks, small_disk


@dataclass(frozen=True, kw_only=True)
class Round:
    """One disturbance, and what came of it."""

    part: str
    fault: str
    seed: int
    place: str
    struck: bool
    """Whether the fault came while the part was at work."""
    wrong: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def rounds(
    parts: list[Part], folder: Path, *, seed: int, count: int, seconds: float, first: int = 0
) -> Iterator[Round]:
    """Play rounds until so many are played or so much time is gone; parts and faults take turns.

    A folder whose round went wrong stays.
    """
    until = time.monotonic() + seconds
    whole = {part.name: _whole(part, folder / "whole" / part.name) for part in parts}
    faults = ["kill", *(["disk full"] if has_small_disks(folder) else []), "kill twice", "two at once", "kill"]
    turns = [(part, fault) for fault in faults for part in parts]  # few rounds reach every part
    for number in range(first, count):
        if time.monotonic() > until:
            return
        part, fault = turns[number % len(turns)]
        rng = random.Random(f"{seed} {number}")
        world = folder / f"{number:04}"
        world.mkdir(parents=True)
        with small_disk(world, wanted=fault == "disk full") as resize:
            part.prepare(world)
            if fault == "disk full":
                played = _play_full(part, world, rng, resize)
            else:
                played = _play(part, fault, world, rng, whole[part.name])
            wrong = _judged(part, world, played)
        struck = any(one.killed or one.error for one in played) or fault == "two at once"
        place = ", ".join(str(one) for one in _PLACES.pop(world, []))
        yield Round(part=part.name, fault=fault, seed=number, place=place, struck=struck, wrong=wrong)
        if not wrong:
            shutil.rmtree(world)


_PLACES: dict[Path, Sequence[Kill | str]] = {}


def _whole(part: Part, world: Path) -> Ended:
    """Return how the part runs where nothing disturbs it, whose files say how many touches there are."""
    world.mkdir(parents=True)
    part.prepare(world)
    ended = run(part.act, world)
    wrong = [*filter(None, [ended.error]), *part.judge(world, [] if part.name == "log flush" else ended.promised)]
    wrong = [one for one in wrong if "at least" not in one]
    assert not wrong, f"{part.name} fails undisturbed: {wrong}"
    return ended


def _play(part: Part, fault: str, world: Path, rng: random.Random, whole: Ended) -> list[Ended]:
    kills = [choose_kill(rng, whole)]
    if fault == "kill twice":
        kills.append(choose_kill(rng, whole))
    _PLACES[world] = list(kills)
    if fault == "two at once":
        other = begin(part.act, world, Kill())
        first = begin(part.act, world, kills[0])
        played = [finish(first), finish(other)]
    else:
        played = [run(part.act, world, kill) for kill in kills]
    played.append(run(part.act, world))
    return played


def _play_full(part: Part, world: Path, rng: random.Random, resize: Callable[[int], None]) -> list[Ended]:
    used = sum(file.stat().st_blocks * 512 for file in world.rglob("*"))
    more = rng.randint(0, 10) * 4096
    resize(used + more)
    _PLACES[world] = [f"{more // 1024} KiB left"]
    full = run(part.act, world)
    if (
        not full.error and not os.statvfs(world).f_bfree
    ):  # the part took it as it must, and said so to the log only
        full = replace(full, error="ServiceError: no space was left")
    resize(LARGE)
    return [full, run(part.act, world)]


def _judged(part: Part, world: Path, played: list[Ended]) -> list[str]:
    """Return what is wrong after the part was told again, by itself, to its end."""
    wrong = []
    if played[-1].error:
        wrong.append(f"it does not recover: {played[-1].error}")
    wrong += [f"told at once: {one.error}" for one in played[:-1] if one.error and not _is_refusal(one.error)]
    promised = [text for one in played[:-1] for text in one.promised]
    try:
        wrong += part.judge(world, promised)
    except Exception as error:  # whatever cannot be read any more is what is looked for
        wrong.append(f"cannot be judged: {type(error).__name__}: {error}")
    return wrong


def _is_refusal(error: str) -> bool:
    """Return whether a process said in our words why it stopped, as one of two may."""
    return error.startswith(("OutputError", "ConflictError", "SettingsError", "DataError", "ServiceError"))
