"""Training from lines to bundle, and resuming."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from htr.bundle import ONNX, WEIGHTS, Bundle, write_bundle
from htr.calibration import Calibration
from htr.errors import DataError
from htr.evaluate import (
    calibrate,
    character_scores,
    confusions,
    evaluate,
    profile_table,
    rates,
    rates_by,
    recalibrated,
)
from htr.lines import CORRECTIONS, LinesDataset, LinesWriter
from htr.plan import Plan, cosine_with_warmup
from htr.recogniser import Recogniser
from htr.report import build_report, read_report
from htr.train import Progress, train
from htr.train_config import TrainConfig
from tests.conftest import TINY, make_line

CONFIG = TrainConfig(max_lines=120, model=TINY, accelerator="cpu")
WORDS = ("one two", "three", "seven", "eleven", "two ten", "nine")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    path = tmp_path_factory.mktemp("lines") / "d"
    with LinesWriter(path) as writer:
        for n in range(60):
            split = "val" if n % 6 == 4 else "test" if n % 6 == 5 else "train"
            writer.add(make_line(WORDS[n % 5], n, split=split, source="ab"[n % 2], language="eng"))
    return LinesDataset.open(path)


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


def test_a_split_without_lines_is_named(tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "d") as writer:
        writer.add(make_line("one", 1))
    with pytest.raises(DataError, match="'val'"):
        train(LinesDataset.open(tmp_path / "d"), tmp_path / "b", CONFIG, work=tmp_path / "w")
    assert not (tmp_path / "b").exists()


def test_corrected_lines_are_repeated_up_to_their_share() -> None:
    plan = Plan.of(
        [40] * 110, corrected=[True] * 10 + [False] * 100,
        max_lines=1000, batch_size=8, seed=1, correction_share=0.5,
    )  # fmt: skip
    assert plan.repeats[0] == 10
    assert plan.repeats[-1] == 1
    assert plan.epochs == 5
    shown = [i for batch in plan.epoch(0) for i in batch]
    assert sum(i < 10 for i in shown) == len(shown) / 2


@given(
    widths=st.lists(st.integers(16, 900), min_size=1, max_size=150),
    ranks=st.integers(1, 4),
    batch_size=st.integers(1, 8),
)
def test_devices_get_equally_many_batches_and_every_line_is_shown(
    widths: list[int], ranks: int, batch_size: int
) -> None:
    plan = Plan.of(
        widths, corrected=[False] * len(widths), max_lines=len(widths),
        batch_size=batch_size, seed=1, correction_share=0.4, ranks=ranks,
    )  # fmt: skip
    batches = plan.epoch(0)
    assert len(batches) == plan.batches_per_epoch * ranks
    assert {i for batch in batches for i in batch} == set(range(len(widths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)


def test_devices_learn_from_lines_of_about_one_width_at_a_time() -> None:
    widths = list(range(100, 900))
    plan = Plan.of(
        widths, corrected=[False] * 800, max_lines=800, batch_size=8, seed=1, correction_share=0.4, ranks=2
    )  # fmt: skip
    batches = plan.epoch(0)
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert abs(max(widths[i] for i in first) - max(widths[i] for i in second)) < 20


def test_a_budget_below_one_epoch_is_kept() -> None:
    plan = Plan.of([40] * 1000, corrected=[False] * 1000, max_lines=80, batch_size=8, seed=1, correction_share=0.5)
    assert sum(map(len, plan.epoch(0))) == 80 == plan.total_lines


def test_the_learning_rate_rises_then_falls() -> None:
    factors = [cosine_with_warmup(step, total=100, warmup_share=0.1) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert max(factors) == 1.0
    assert factors[-1] == pytest.approx(0.01, abs=0.01)


def test_an_evaluation_adds_up_and_becomes_a_report(
    dataset: LinesDataset, tiny_bundle: Path, tmp_path: Path
) -> None:
    found = evaluate(Recogniser.load(tiny_bundle), dataset, ["val", "test"])
    everything, groups = rates(found.lines), rates_by(found.lines, "source")
    assert everything.lines == 20 == sum(group.lines for group in groups.values())
    low, high = everything.cer_interval
    assert low <= everything.cer <= high
    assert sum(s.written for s in character_scores(found.lines)) == everything.characters
    assert all(truth != reading for truth, reading, _ in confusions(found.lines))
    assert profile_table(found.lines).num_rows == 20
    again = recalibrated(found, calibrate(found.lines))
    assert all(0 < line.confidence < 1 for line in again.lines)
    assert sum(line.confidence for line in again.lines) == pytest.approx(
        sum(line.right for line in found.lines), abs=1
    )
    with pytest.raises(ValueError, match="length_slope"):
        recalibrated(found, Calibration())
    report = tmp_path / "report.json"
    import json

    report.write_text(json.dumps(build_report(found, found)))
    content = read_report(report)
    assert all(line["edits"] == line["champion_edits"] for line in content["lines"])
    assert content["challenger"]["splits"]["test"]["lines"] == 10


@pytest.mark.parametrize("text", ["", "{}", '{"format_version": 99}', "[1]"])
def test_a_damaged_report_is_a_data_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=r"r\.json"):
        read_report(tmp_path / "r.json")


def test_an_undecodable_line_counts_as_read_empty(tiny_bundle: Path, tmp_path: Path) -> None:
    from htr.lines import Line

    with LinesWriter(tmp_path / "d") as writer:
        writer.add(Line(id="x", image=b"nonsense", text="four", split="test", width=1, height=1))
    found = evaluate(Recogniser.load(tiny_bundle), LinesDataset.open(tmp_path / "d"), ["test"])
    assert found.lines[0].reading == ""
    assert found.lines[0].errors.edits == 4


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
