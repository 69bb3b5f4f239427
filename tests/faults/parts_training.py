"""A small training that is real: killed anywhere, it must resume and end with the weights of one left alone.

The process that forks must not have computed anything with torch: its threads do not survive a fork.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from htr.bundle import WEIGHTS, Bundle
from htr.lines import LinesDataset
from htr.train import train
from htr.train_config import TrainConfig
from tests.conftest import TINY
from tests.datasets import sound_lines, write_lines
from tests.faults.parts import Part, faults
from tests.faults.parts_registry import in_a_process

CONFIG = TrainConfig(max_lines=96, model=TINY, accelerator="cpu")
CLOSE = 1e-6


def training_parts(lines: Path) -> list[Part]:
    """Return the part that trains.

    Args:
        lines: folder for the dataset that all rounds learn.
    """
    if not lines.exists():
        lines.parent.mkdir(parents=True, exist_ok=True)
        write_lines(lines, sound_lines(num_train=24, num_held_out=8))
    alone = lines.with_name("alone")
    if not alone.exists():
        told = in_a_process(lambda: _train(lines, alone, alone.with_name("alone-work")))
        assert told == [], told
    return [Part(name="training", act=training(lines), judge=judging(alone))]


def training(lines: Path) -> Callable[[Path, Callable[[str], None]], None]:
    def act(folder: Path, promise: Callable[[str], None]) -> None:
        out = folder / "bundle"
        if not out.exists():  # as the step finds it that is tried again
            list(_train(lines, out, folder / "work"))
        promise(Bundle.open(out).digest)

    return act


def _train(lines: Path, out: Path, work: Path) -> Iterator[str]:
    import torch

    torch.set_num_threads(1)
    train(LinesDataset.open(lines), out, CONFIG, work=work)
    yield from ()


def judging(alone: Path) -> Callable[[Path, list[str]], Iterator[str]]:
    def judge(folder: Path, promised: list[str]) -> Iterator[str]:
        bundle = Bundle.open(folder / "bundle")
        if set(promised) - {bundle.digest}:
            yield "another bundle than was promised"
        expected = _weights(alone)
        for name, value in _weights(bundle.path).items():
            if abs(value - expected[name]).max() > CLOSE:
                yield f"{name} differs from a training that nobody disturbed"
        yield from faults(folder)

    return judge


@cache
def _weights(bundle: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(bundle / WEIGHTS))
