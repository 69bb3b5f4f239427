"""SIGTERM in the middle of an epoch: the checkpoint is made at once, and the end is that of a run left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from htr.bundle import WEIGHTS
from htr.errors import PreemptedError
from htr.lines import LinesDataset, LinesWriter
from htr.train import TrainResult, train
from htr.train_config import TrainConfig
from tests.conftest import TINY, make_line

ROOT = Path(__file__).parents[3]
WORDS = ("one two", "three", "seven", "eleven", "two ten", "nine")
CONFIG = TrainConfig(
    max_lines=96,
    batch_size=4,
    model=TINY,
    accelerator="cpu",
    joining=0.3,
    averaging=0.8,
    auxiliary_weight=0.3,
    precision="32",
)
COMMAND = """
import sys
from pathlib import Path
from htr.errors import PreemptedError
from htr.lines import LinesDataset
from htr.train import train
from tests.unit.htr.test_preemption import CONFIG

def show(progress):
    if progress.stage == "training" and not progress.metrics:
        print(progress.epoch, progress.done, flush=True)
        if progress.epoch == 1:
            sys.stdin.readline()

try:
    lines, out, work, store = LinesDataset.open(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    train(lines, out, CONFIG, work=work, checkpoints=store, on_progress=show)
except PreemptedError as error:
    print(error)
    sys.exit(error.EXIT_STATUS)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(60):  # 48 to learn from: 12 steps an epoch
            writer.add(make_line(WORDS[n % 5], n, split="val" if n % 5 == 4 else "train"))
    return LinesDataset.open(path)


@pytest.fixture(scope="module")
def alone(dataset: LinesDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Path]:
    """Return a training that nobody disturbed, and its work folder."""
    folder = tmp_path_factory.mktemp("alone")
    result = train(dataset, folder / "b", CONFIG, work=folder / "w")
    assert result is not None
    return result, folder / "w"


def same(left: TrainResult, right: TrainResult) -> None:
    assert left.validation_cer == right.validation_cer
    weights, others = (load_file(result.bundle.path / WEIGHTS) for result in (left, right))
    assert all(abs(weights[name] - others[name]).max() < 1e-6 for name in others)


def checkpoint(work: Path) -> dict[str, object]:
    (file,) = work.glob("*/last.ckpt")
    found: dict[str, object] = torch.load(file, weights_only=True)
    return found


def test_a_run_told_to_stop_within_an_epoch_goes_on_at_that_step(
    dataset: LinesDataset, alone: tuple[TrainResult, Path], tmp_path: Path
) -> None:
    arguments = [str(dataset.path), str(tmp_path / "b"), str(tmp_path / "lost"), str(tmp_path / "store")]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as told:
        assert told.stdout is not None
        assert told.stdin is not None
        seen = [next(told.stdout)]
        while not seen[-1].startswith("1 "):
            seen.append(next(told.stdout))
        told.send_signal(signal.SIGTERM)  # within the first step of the second epoch
        told.stdin.close()
        end = told.stdout.read()
    assert told.returncode == 143, end
    assert "told to stop in epoch 2 after 1 steps" in end
    assert not (tmp_path / "b").exists()
    stopped = checkpoint(tmp_path / "lost")
    assert (stopped["epoch"], stopped["stopped"]["done"]) == (1, 1)  # type: ignore[index]
    assert not list((tmp_path / "lost").glob("*/*.partial"))

    first: list[int] = []
    resumed = train(
        dataset,
        tmp_path / "b",
        CONFIG,
        work=tmp_path / "w",  # another machine's: what it has comes from the store
        checkpoints=str(tmp_path / "store"),
        on_progress=lambda p: first.append(p.done) if p.stage == "training" else None,
    )
    assert resumed is not None
    assert (resumed.resumed_at_epoch, resumed.epochs) == (1, 2)
    assert first[0] == 48 + 9 * 4  # told at every eighth step; the first one was done before
    same(resumed, alone[0])
    ends = [checkpoint(folder) for folder in (tmp_path / "w", alone[1])]
    assert "stopped" not in ends[0]
    for name, value in ends[0]["state_dict"].items():  # type: ignore[attr-defined]
        torch.testing.assert_close(value, ends[1]["state_dict"][name], atol=1e-6, rtol=0, msg=name)  # type: ignore[index]


def test_a_run_that_is_stopped_again_and_again_ends_as_one_left_alone(
    dataset: LinesDataset, alone: tuple[TrainResult, Path], tmp_path: Path
) -> None:
    def stop(progress: object) -> None:
        if getattr(progress, "stage", "") == "training" and not getattr(progress, "metrics", None):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    stops = 0
    for _ in range(10):
        try:
            result = train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", on_progress=stop)
        except PreemptedError:
            stops += 1
        else:
            break
    assert signal.getsignal(signal.SIGTERM) == before
    assert stops == 4
    assert result is not None
    same(result, alone[0])
