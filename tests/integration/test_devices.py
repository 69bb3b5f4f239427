"""Training on two devices, which here are two processes of one processor that talk through gloo."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save

from htr.bundle import WEIGHTS, Bundle, amend_bundle
from htr.ctc import best_path
from htr.errors import DivergedError, PreemptedError
from htr.export import load_net
from htr.image import decode, line_tensor
from htr.lines import LinesDataset, LinesWriter
from htr.metrics import ErrorCounts, count_errors
from htr.train import Progress, train
from htr.train_config import TrainConfig
from tests.conftest import TINY, make_line

ROOT = Path(__file__).parents[2]
CONFIG = TrainConfig(
    max_lines=126,
    model=TINY,
    accelerator="cpu",
    devices=2,
    batch_size=4,
    auxiliary_weight=0.3,
    precision="32",
)
WORDS = ("one two", "three", "seven", "eleven", "two ten", "nine")
COMMAND = """
import sys
from pathlib import Path
from htr.lines import LinesDataset
from htr.train import train
from tests.integration.test_devices import CONFIG

if __name__ == "__main__":
    def show(progress):
        if progress.stage == "training":
            print(progress.epoch, "end" if progress.metrics else "runs", flush=True)

    train(LinesDataset.open(sys.argv[1]), Path(sys.argv[2]), CONFIG, work=Path(sys.argv[3]), on_progress=show)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(63):  # 42 to learn from: 11 batches, which two devices cannot share evenly
            writer.add(make_line(WORDS[n % 5], n, split="val" if n % 3 == 2 else "train"))
    return LinesDataset.open(path)


@pytest.fixture(scope="module")
def alone(dataset: LinesDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("alone")
    result = train(dataset, folder / "bundle", CONFIG, work=folder / "work")
    assert result is not None
    assert (result.epochs, result.resumed_at_epoch) == (3, 0)
    (folder / "cer").write_text(repr(result.validation_cer))
    return folder


def last_checkpoint(work: Path) -> dict[str, torch.Tensor]:
    (file,) = work.glob("*/last.ckpt")
    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


def measured(bundle: Bundle, dataset: LinesDataset) -> ErrorCounts:
    """Return the errors of a network on all val lines, counted by one process."""
    net, total = load_net(bundle), ErrorCounts()
    for line in dataset.lines("val"):
        tensor = torch.from_numpy(line_tensor(decode(line.image), bundle.geometry))[None]
        with torch.no_grad():
            reading = bundle.alphabet.decode(best_path(net(tensor)[0].numpy()).class_ids)
        total += count_errors(line.text, reading)
    return total


def test_the_rate_of_two_devices_is_that_of_all_their_lines(dataset: LinesDataset, alone: Path) -> None:
    total = measured(Bundle.open(alone / "bundle"), dataset)
    assert total.lines == 21
    assert float((alone / "cer").read_text()) == pytest.approx(total.cer, abs=1e-12)


def test_two_devices_judge_and_keep_one_average_of_their_weights(
    dataset: LinesDataset, alone: Path, tmp_path: Path
) -> None:
    result = train(dataset, tmp_path / "b", replace(CONFIG, averaging=0.8), work=tmp_path / "w")
    assert result is not None
    assert result.validation_cer == pytest.approx(measured(Bundle.open(tmp_path / "b"), dataset).cer, abs=1e-12)
    averaged, last = load_file(tmp_path / "b" / WEIGHTS), load_file(alone / "bundle" / WEIGHTS)
    assert any(abs(averaged[name] - last[name]).max() > 1e-4 for name in last)


def test_two_devices_show_progress_and_give_the_same_again(
    dataset: LinesDataset, alone: Path, tmp_path: Path
) -> None:
    told: list[Progress] = []
    again = train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", on_progress=told.append)
    assert again is not None
    ends = [progress for progress in told if progress.metrics]
    assert [progress.epoch for progress in ends] == [0, 1, 2]
    assert ends[-1].done == ends[-1].total == 126
    assert repr(again.validation_cer) == (alone / "cer").read_text()
    left, right = load_file(tmp_path / "b" / WEIGHTS), load_file(alone / "bundle" / WEIGHTS)
    assert all(abs(left[name] - right[name]).max() < 1e-6 for name in left)


def test_a_killed_run_on_two_devices_ends_as_one_left_alone(
    dataset: LinesDataset, alone: Path, tmp_path: Path
) -> None:
    script = tmp_path / "run.py"
    script.write_text(COMMAND)
    command = [sys.executable, str(script), str(dataset.path), str(tmp_path / "b"), str(tmp_path / "w")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.strip() == "2 runs":
                os.killpg(running.pid, signal.SIGKILL)
    assert not (tmp_path / "b").exists()
    resumed = train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w")
    assert resumed is not None
    assert resumed.resumed_at_epoch == 2
    assert repr(resumed.validation_cer) == (alone / "cer").read_text()
    left, right = last_checkpoint(tmp_path / "w"), last_checkpoint(alone / "work")
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], atol=1e-6, rtol=0, msg=name)


def test_two_devices_told_to_stop_agree_on_a_step_and_end_as_if_left_alone(
    dataset: LinesDataset, alone: Path, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "training" and progress.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # to the process that spawned them

    with pytest.raises(PreemptedError, match="told to stop in epoch"):
        train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", on_progress=stop)
    assert not (tmp_path / "b").exists()
    resumed = train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w")
    assert resumed is not None
    assert resumed.resumed_at_epoch >= 1
    assert repr(resumed.validation_cer) == (alone / "cer").read_text()
    left, right = last_checkpoint(tmp_path / "w"), last_checkpoint(alone / "work")
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], atol=1e-6, rtol=0, msg=name)


def test_processes_started_from_outside_share_one_command(dataset: LinesDataset, tmp_path: Path) -> None:
    arguments = [
        "--max-lines",
        "42",
        "--devices",
        "2",
        "--out",
        str(tmp_path / "b"),
        "--work",
        str(tmp_path / "w"),
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "htr", "train"]
    done = subprocess.run(
        [sys.executable, *launch, str(dataset.path), *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    assert (tmp_path / "b" / WEIGHTS).is_file()


def test_a_training_that_diverges_on_two_devices_says_so_itself(
    dataset: LinesDataset, alone: Path, tmp_path: Path
) -> None:
    good = Bundle.open(alone / "bundle")
    weights = {name: tensor.contiguous() for name, tensor in load_net(good).state_dict().items()}
    for tensor in weights.values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    broken = amend_bundle(good, tmp_path / "broken", {WEIGHTS: save(weights)})
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", base=broken)
    assert not (tmp_path / "b").exists()
