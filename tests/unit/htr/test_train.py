"""Training from lines to bundle, and resuming."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from htr.bundle import ONNX, WEIGHTS, Bundle, write_bundle
from htr.errors import DataError, OutputError, SettingsError
from htr.lines import CORRECTIONS, LinesDataset, LinesWriter
from htr.recogniser import Recogniser
from htr.train import Progress, train
from htr.train_config import TrainConfig
from tests.conftest import TINY, make_line

CONFIG = TrainConfig(max_lines=120, model=TINY, accelerator="cpu")


def test_training_writes_a_bundle_that_reads(dataset: LinesDataset, tmp_path: Path) -> None:
    told: list[Progress] = []
    result = train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", git_commit="abc", on_progress=told.append)
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.dataset_digest == dataset.digest
    assert bundle.git_commit == "abc"
    assert result.lines == {"train": 40, "val": 10}
    assert result.epochs == 3
    assert [p.metrics["val_cer"] for p in told if p.metrics][-1] >= 0
    assert len(Recogniser(bundle).read(line.image for line in dataset.lines("test"))) == 10


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = TrainConfig(max_lines=40, seed=seed, model=TINY, accelerator="cpu")
        train(dataset, tmp_path / name, config, work=tmp_path / f"w{name}")
        weights.append((tmp_path / name / WEIGHTS).read_bytes())
    assert weights[0] == weights[1] != weights[2]


KILLED = """
import os, signal, sys
from pathlib import Path
from htr.lines import LinesDataset
from htr.train import train
from tests.unit.htr.test_train import CONFIG

def stop(progress):
    if progress.epoch == 2 and not progress.metrics:
        os.kill(os.getpid(), signal.SIGKILL)

train(LinesDataset.open(sys.argv[1]), Path(sys.argv[2]), CONFIG, work=Path(sys.argv[3]), on_progress=stop)
"""


def test_a_killed_run_resumes_and_ends_as_one_left_alone(dataset: LinesDataset, tmp_path: Path) -> None:
    arguments = [str(dataset.path), str(tmp_path / "killed"), str(tmp_path / "w")]
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    resumed = train(dataset, tmp_path / "resumed", CONFIG, work=tmp_path / "w")
    assert resumed.resumed_at_epoch == 2
    alone = train(dataset, tmp_path / "alone", CONFIG, work=tmp_path / "other")
    assert resumed.validation_cer == alone.validation_cer
    left, right = (load_file(tmp_path / name / WEIGHTS) for name in ("resumed", "alone"))
    for name, value in left.items():
        assert abs(value - right[name]).max() < 1e-6, name
    # The best epoch may lie before the kill: what counts is where the last one ended.
    ends = [torch.load(next((tmp_path / w).glob("*/last.ckpt")), weights_only=True) for w in ("w", "other")]
    assert ends[0]["epoch"] == ends[1]["epoch"] == 2
    for name, value in ends[0]["state_dict"].items():
        torch.testing.assert_close(value, ends[1]["state_dict"][name], atol=1e-6, rtol=0, msg=name)


def test_the_last_epoch_is_kept_where_corrected_lines_are_learnt(dataset: LinesDataset, tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "merged") as writer:
        for line in dataset.lines():
            writer.add(line)
        writer.add(make_line("ten", 99, split="train", source=CORRECTIONS))
    merged = LinesDataset.open(tmp_path / "merged")

    kept = {}
    for name, lines, keep in (
        ("auto", merged, "auto"),
        ("last", merged, "last"),
        ("best", merged, "best"),
        ("without", dataset, "auto"),
        ("without best", dataset, "best"),
    ):
        work = tmp_path / f"w {name}"
        train(lines, tmp_path / name, replace(CONFIG, max_lines=280, keep=keep), work=work)
        kept[name] = (tmp_path / name / WEIGHTS).read_bytes()
        end = torch.load(next(work.glob("*/last.ckpt")), weights_only=True)["state_dict"]
        weights = load_file(tmp_path / name / WEIGHTS)
        is_last = all((end[f"net.{n}"].numpy() == value).all() for n, value in weights.items())
        assert is_last == ("auto" in name or "last" in name), name
    assert kept["auto"] == kept["last"] != kept["best"]
    assert kept["without"] == kept["without best"]


def test_averaged_weights_are_judged_and_kept_and_survive_a_kill(dataset: LinesDataset, tmp_path: Path) -> None:
    averaged = replace(CONFIG, averaging=0.9, keep="last")
    train(dataset, tmp_path / "alone", averaged, work=tmp_path / "w1")
    train(dataset, tmp_path / "plain", replace(CONFIG, keep="last"), work=tmp_path / "w1")

    def stop(progress: Progress) -> None:
        if progress.epoch == 2 and not progress.metrics:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        train(dataset, tmp_path / "stopped", averaged, work=tmp_path / "w2", on_progress=stop)
    resumed = train(dataset, tmp_path / "resumed", averaged, work=tmp_path / "w2")
    assert resumed.resumed_at_epoch == 2
    weights = {name: load_file(tmp_path / name / WEIGHTS) for name in ("alone", "plain", "resumed")}
    for name, value in weights["alone"].items():
        assert abs(value - weights["resumed"][name]).max() < 1e-6, name
    assert any(abs(v - weights["plain"][n]).max() > 1e-4 for n, v in weights["alone"].items())


def test_a_base_gives_its_geometry_and_keeps_its_alphabet_in_front(dataset: LinesDataset, tmp_path: Path) -> None:
    first = train(dataset, tmp_path / "a", CONFIG, work=tmp_path / "w").bundle
    with LinesWriter(tmp_path / "new") as writer:
        for n in range(8):
            writer.add(make_line("Zoé", n, split="val" if n > 5 else "train"))
    second = train(
        LinesDataset.open(tmp_path / "new"), tmp_path / "b", CONFIG, work=tmp_path / "w", base=first
    ).bundle
    assert second.alphabet.characters[: len(first.alphabet) - 1] == first.alphabet.characters
    assert set("Zoé") <= set(second.alphabet.characters)
    assert second.base_digest == first.digest


def test_a_base_learns_with_the_dropout_of_the_settings_and_moves_its_batch_norm(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    first = train(dataset, tmp_path / "a", CONFIG, work=tmp_path / "w").bundle
    before, after = load_file(first.path / WEIGHTS), {}
    for share in (0.0, 0.5):
        model = replace(TINY, dropout=share, width=TINY.width + 1)  # a base keeps its width
        config = replace(CONFIG, max_lines=40, keep="last", model=model)
        bundle = train(dataset, tmp_path / str(share), config, work=tmp_path / "w", base=first).bundle
        assert bundle.architecture == {**first.architecture, "dropout": share}
        assert bundle.alphabet == first.alphabet
        after[share] = load_file(bundle.path / WEIGHTS)
    figures = [name for name in before if "running_mean" in name]
    assert all((before[name] != after[0.0][name]).any() for name in figures)
    # Nothing but what was dropped tells the two apart.
    assert any(abs(value - after[0.5][name]).max() > 1e-4 for name, value in after[0.0].items())


def test_batch_norm_of_a_base_is_held_where_corrected_lines_are_learnt_or_the_settings_say_so(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    first = train(dataset, tmp_path / "a", CONFIG, work=tmp_path / "w").bundle
    with LinesWriter(tmp_path / "merged") as writer:
        for line in dataset.lines():
            writer.add(line)
        writer.add(make_line("ten", 99, split="train", source=CORRECTIONS))
    merged, before, held = LinesDataset.open(tmp_path / "merged"), load_file(first.path / WEIGHTS), {}
    deeper = replace(TINY, residual=(0, 1, 0, 0))
    for name, lines, base_norm, model in (
        ("auto", dataset, "auto", TINY),
        ("corrected", merged, "auto", deeper),
        ("learnt", merged, "learnt", TINY),
        ("held", dataset, "held", TINY),
    ):
        config = replace(CONFIG, max_lines=40, keep="last", base_norm=base_norm, model=model)
        result = train(lines, tmp_path / name, config, work=tmp_path / "w", base=first)
        after = load_file(result.bundle.path / WEIGHTS)
        held[name] = all((after[n] == value).all() for n, value in before.items() if "running_" in n)
        if model is deeper:  # layers that the base had not got have no figures to hold
            assert after["blocks.1.residual.0.1.running_mean"].any()
    assert held == {"auto": False, "corrected": True, "learnt": False, "held": True}


def test_an_auxiliary_decoder_teaches_survives_a_kill_and_stays_out_of_the_bundle(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    with_it = replace(CONFIG, auxiliary_weight=0.5, keep="last")
    plain = train(dataset, tmp_path / "plain", replace(CONFIG, keep="last"), work=tmp_path / "w1")
    alone = train(dataset, tmp_path / "alone", with_it, work=tmp_path / "w1")
    smoothed = train(dataset, tmp_path / "s", replace(with_it, label_smoothing=0.4), work=tmp_path / "w1")

    def stop(progress: Progress) -> None:
        if progress.epoch == 2 and not progress.metrics:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        train(dataset, tmp_path / "stopped", with_it, work=tmp_path / "w2", on_progress=stop)
    resumed = train(dataset, tmp_path / "resumed", with_it, work=tmp_path / "w2")
    assert resumed.resumed_at_epoch == 2
    results = {"plain": plain, "alone": alone, "smoothed": smoothed, "resumed": resumed}
    weights = {name: load_file(result.bundle.path / WEIGHTS) for name, result in results.items()}
    assert set(weights["plain"]) == set(weights["alone"])
    sizes = {(result.bundle.path / ONNX).stat().st_size for result in results.values()}
    assert len(sizes) == 1
    for name, value in weights["alone"].items():
        assert abs(value - weights["resumed"][name]).max() < 1e-6, name
    for other in ("plain", "smoothed"):
        assert any(abs(v - weights[other][n]).max() > 1e-5 for n, v in weights["alone"].items()), other


def test_a_training_that_had_stopped_early_is_not_trained_on(dataset: LinesDataset, tmp_path: Path) -> None:
    config = replace(CONFIG, patience=1, learning_rate=1e-7)  # nothing is learnt, so that it stops
    first = train(dataset, tmp_path / "first", config, work=tmp_path / "w")
    again = train(dataset, tmp_path / "again", config, work=tmp_path / "w")
    assert first.epochs < 3
    assert again.epochs == again.resumed_at_epoch == first.epochs
    assert again.validation_cer == first.validation_cer
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (tmp_path / "first" / WEIGHTS).read_bytes()


def test_a_work_folder_where_the_bundle_shall_lie_is_refused_before_the_work(
    dataset: LinesDataset, tmp_path: Path
) -> None:
    for work in (tmp_path / "b", tmp_path / "b" / "work"):
        with pytest.raises(OutputError, match="choose another work folder"):
            train(dataset, tmp_path / "b", CONFIG, work=work)
        assert not work.exists()


def test_a_work_folder_that_fills_up_is_told_and_the_next_try_goes_on(
    dataset: LinesDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("htr.keeper.save_file", full)
        with pytest.raises(OutputError, match=r"No space left.*free the disk"):
            train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w")
    assert not (tmp_path / "b").exists()
    assert train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w").bundle.path == tmp_path / "b"


def test_a_device_that_is_not_there_is_a_settings_error(dataset: LinesDataset, tmp_path: Path) -> None:
    missing = "mps" if torch.cuda.is_available() else "gpu"
    with pytest.raises(SettingsError, match=f"accelerator '{missing}'"):
        train(dataset, tmp_path / "b", replace(CONFIG, accelerator=missing), work=tmp_path / "w")


def test_more_devices_than_validation_lines_are_refused(dataset: LinesDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="10 usable lines in split 'val' for 11 devices"):
        train(dataset, tmp_path / "b", replace(CONFIG, devices=11), work=tmp_path / "w")


def test_who_stops_it_by_the_keyboard_gets_a_keyboard_interrupt(dataset: LinesDataset, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.epoch == 1:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(dataset, tmp_path / "b", CONFIG, work=tmp_path / "w", on_progress=stop)
    finally:
        signal.signal(signal.SIGINT, handler)


def test_a_split_without_lines_is_named(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        writer.add(make_line("one", 1))
    with pytest.raises(DataError, match="'val'"):
        train(LinesDataset.open(tmp_path / "d"), tmp_path / "b", CONFIG, work=tmp_path / "w")
    assert not (tmp_path / "b").exists()


def test_an_export_that_differs_from_torch_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    from htr.errors import BundleError
    from htr.export import load_net

    good = Bundle.open(tiny_bundle)
    other = write_bundle(
        Bundle(
            path=tmp_path / "b",
            architecture={**TINY.to_dict(), "width": 16},
            alphabet=good.alphabet,
            geometry=good.geometry,
        ),
        {WEIGHTS: good.path / WEIGHTS, ONNX: good.path / ONNX},
    )
    with pytest.raises(BundleError, match="does not fit"):
        load_net(other)
