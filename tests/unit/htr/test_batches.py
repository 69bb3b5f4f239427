"""Training batches and distortions."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.alphabet import Alphabet
from htr.augment import augment, mask_spans
from htr.batches import WIDTH_STEP, EpochBatches, plan_epoch
from htr.image import Geometry
from htr.lines import Line, LinesDataset, LinesWriter
from htr.store import LineStore, open_store
from tests.conftest import line_png, make_line

GEOMETRY = Geometry(height=16)
ALPHABET = Alphabet("abcdefghijklmnopqrstuvwxyz ")


@pytest.fixture
def dataset(tmp_path: Path) -> LinesDataset:
    bad = {
        "broken": Line(id="broken", image=line_png("broken")[:100], text="broken", width=66, height=32),
        "unknown": make_line("ONE", 50),
        "crowded": Line(id="crowded", image=line_png("a"), text="far too long for it", width=21, height=32),
    }
    with LinesWriter(tmp_path / "d") as writer:
        for n in range(30):
            writer.add(make_line("word " * (1 + n % 4) + "end", n))
        for line in bad.values():
            writer.add(line)
    return LinesDataset.open(tmp_path / "d")


@pytest.fixture
def lines(dataset: LinesDataset, tmp_path: Path) -> LineStore:
    return open_store(dataset, "train", tmp_path / "store", geometry=GEOMETRY, alphabet=ALPHABET)


@given(
    widths=st.lists(st.integers(10, 500), min_size=1, max_size=80),
    batch_size=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_an_epoch_shows_every_line_once_and_depends_on_the_seed_alone(
    widths: list[int], batch_size: int, epoch: int
) -> None:
    plan = plan_epoch(widths, batch_size=batch_size, seed=5, epoch=epoch)
    assert sorted(i for batch in plan for i in batch) == list(range(len(widths)))
    assert max(map(len, plan)) <= batch_size
    assert plan == plan_epoch(widths, batch_size=batch_size, seed=5, epoch=epoch)


@given(
    widths=st.lists(st.integers(10, 2000), min_size=1, max_size=200),
    batch_size=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_batches_by_pixels_show_every_line_once_in_as_many_batches(
    widths: list[int], batch_size: int, epoch: int
) -> None:
    plan = plan_epoch(widths, batch_size=batch_size, seed=5, epoch=epoch, by_pixels=True)
    by_lines = plan_epoch(widths, batch_size=batch_size, seed=5, epoch=epoch)
    assert sorted(i for batch in plan for i in batch) == list(range(len(widths)))
    assert len(plan) == len(by_lines)
    assert all(plan)


def test_batches_by_pixels_hold_many_short_lines_or_few_long_ones() -> None:
    widths = [100] * 80 + [400] * 48
    pixels = {
        by: [
            sum(widths[i] for i in batch)
            for batch in plan_epoch(widths, batch_size=8, seed=1, epoch=0, by_pixels=by)
        ]
        for by in (False, True)
    }
    assert max(pixels[False]) / min(pixels[False]) == 4
    assert max(pixels[True]) / min(pixels[True]) < 1.5


def test_epochs_and_seeds_differ() -> None:
    plans = [plan_epoch(range(100), batch_size=8, seed=s, epoch=e) for s, e in [(1, 0), (1, 1), (2, 0)]]
    assert plans[0] != plans[1] != plans[2] != plans[0]


def test_repeated_lines_occur_as_often_as_asked() -> None:
    plan = plan_epoch([10, 20], batch_size=4, seed=1, epoch=0, repeats=[1, 5])
    assert sorted(i for batch in plan for i in batch) == [0, 1, 1, 1, 1, 1]


def test_batches_are_padded_with_paper_to_whole_steps(lines: LineStore) -> None:
    for batch in EpochBatches(lines, [[0, 1, 2, 3]], geometry=GEOMETRY):
        widest = int(batch.steps.max()) * GEOMETRY.column_step
        assert widest <= batch.images.shape[3] < widest + WIDTH_STEP
        assert batch.images.shape[3] % WIDTH_STEP == 0
        for row, steps in enumerate(batch.steps.tolist()):
            assert float(batch.images[row, :, :, steps * GEOMETRY.column_step :].abs().sum()) == 0
        assert int(batch.target_lengths.sum()) == len(batch.targets)


def test_a_distorted_batch_depends_on_seed_and_epoch_alone(lines: LineStore) -> None:
    def images(epoch: int) -> np.ndarray:
        (batch,) = EpochBatches(lines, [[0, 5]], geometry=GEOMETRY, seed=3, epoch=epoch, strength=1.0)
        return batch.images.numpy()

    np.testing.assert_array_equal(images(1), images(1))
    assert images(1).shape != images(2).shape or not np.array_equal(images(1), images(2))


def test_a_joined_line_holds_both_texts_and_both_inks(lines: LineStore) -> None:
    space = ALPHABET.encode(" ")[0]
    (plain,) = EpochBatches(lines, [[0]], geometry=GEOMETRY)
    (joined,) = EpochBatches(lines, [[0]], geometry=GEOMETRY, joining=1.0, space=space)
    targets, width = joined.targets.tolist(), int(plain.steps[0]) * GEOMETRY.column_step
    first = plain.targets.tolist()
    assert targets[: len(first) + 1] == [*first, space]
    assert targets[len(first) + 1 :] in [sample.class_ids for sample in lines]
    assert int(joined.steps[0]) > int(plain.steps[0])
    assert joined.images[0, 0, :, : width - 4].equal(plain.images[0, 0, :, : width - 4])
    (lone,) = EpochBatches(lines, [[0]], geometry=GEOMETRY, joining=1.0)
    assert lone.targets.equal(plain.targets)  # an alphabet without a space cannot tell where the second one begins


def test_masking_wipes_about_its_share_of_the_columns_and_nothing_else() -> None:
    line = np.full((40, 1000), 0.5, np.float32)
    wiped = []
    for seed in range(20):
        masked = mask_spans(line, np.random.default_rng(seed), share=0.1)
        columns = (masked == 0).all(axis=0)
        assert ((masked == 0.5) | columns).all()
        wiped.append(columns.mean())
    assert 0.06 < np.mean(wiped) < 0.13
    assert (line == 0.5).all()


def test_distortion_keeps_height_and_range_and_most_of_the_ink() -> None:
    line = np.zeros((40, 200), np.float32)
    line[12:28, 20:180:12] = 1
    for seed in range(30):
        out = augment(line, np.random.default_rng(seed))
        assert out.shape[0] == 40
        assert 0 <= out.min() <= out.max() <= 1
        assert 0.3 < out.sum() / line.sum() < 4
    assert augment(line, np.random.default_rng(0), strength=0) is line


def test_devices_share_an_epoch_and_see_together_what_one_would(lines: LineStore) -> None:
    plan = plan_epoch(lines.widths, batch_size=4, seed=1, epoch=0)[:6]

    def batches(share: tuple[int, int]) -> list[np.ndarray]:
        shared = EpochBatches(lines, plan, geometry=GEOMETRY, seed=1, strength=1.0, share=share)
        return [batch.images.numpy() for batch in shared]

    alone, first, second = batches((0, 1)), batches((0, 2)), batches((1, 2))
    for number, images in enumerate(alone):
        np.testing.assert_array_equal(images, (first, second)[number % 2][number // 2])
