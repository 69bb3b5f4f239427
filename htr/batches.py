"""Decoded lines -> training batches: cut into width buckets, distorted, padded with paper.

The order of the batches and every distortion follow from (seed, epoch, number of the batch) alone, so that a run
killed and started again goes on exactly as one left alone.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htr.augment import augment, mask_spans
from htr.image import Geometry
from htr.store import Sample

WIDTH_STEP = 64
"""Pixels; batches are padded to a multiple of it: for every new width a processor's kernels are compiled anew,
which took a fifth of the time."""


class Batch(NamedTuple):
    """Padded lines; a tuple, so that Lightning can move it to a device.

    Shapes: images (B, 1, H, W), steps (B), targets (sum of target_lengths), target_lengths (B).
    """

    images: Tensor
    steps: Tensor
    targets: Tensor
    target_lengths: Tensor


def plan_epoch(
    widths: Sequence[int],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    repeats: Sequence[int] | None = None,
    by_pixels: bool = False,
) -> list[list[int]]:
    """Return the batches of one epoch as lists of sample numbers.

    Lines are shuffled, sorted by width within chunks of 16 batches, and the batches shuffled again:
    little padding, and yet other neighbours every epoch.

    Args:
        widths: pixels of each sample.
        batch_size: lines a batch; the last ones may be smaller.
        seed: of the run.
        epoch: from 0.
        repeats: how often each sample occurs in the epoch; once by default.
        by_pixels: give all batches of a chunk about as many pixels instead: many short lines or a few long ones,
            ``batch_size`` on average.
    """
    rng = np.random.default_rng((seed, epoch, 1))
    order = rng.permutation(np.repeat(np.arange(len(widths)), repeats if repeats is not None else 1))
    batches: list[list[int]] = []
    chunk_size = 16 * batch_size
    for start in range(0, len(order), chunk_size):
        chunk = sorted(order[start : start + chunk_size].tolist(), key=lambda i: widths[i])
        if by_pixels:
            batches += _even(chunk, [widths[i] for i in chunk], -(-len(chunk) // batch_size))
        else:
            batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _even(chunk: list[int], widths: list[int], parts: int) -> list[list[int]]:
    """Cut a chunk into so many batches, each with a line at least, of about as many pixels."""
    before = np.cumsum(widths) - np.array(widths) / 2
    part = np.minimum((before / sum(widths) * parts).astype(int), parts - 1)
    cuts = np.searchsorted(part, np.arange(1, parts)).tolist()
    for number in range(len(cuts)):  # a line may be as wide as several batches
        cuts[number] = min(max(cuts[number], number + 1), len(chunk) - (parts - 1 - number))
    for number in range(1, len(cuts)):
        cuts[number] = max(cuts[number], cuts[number - 1] + 1)
    return [chunk[start:end] for start, end in pairwise([0, *cuts, len(chunk)])]


class EpochBatches:
    """The batches of one epoch, in order; what a torch DataLoader without workers would give.

    Args:
        samples: the usable lines.
        plan: sample numbers of each batch.
        geometry: for the padding.
        seed: of the run.
        epoch: from 0.
        strength: of the distortions; 0 for validation.
        masking: share of the columns that are wiped; see `htr.augment.mask_spans`.
        joining: share of the lines that come with another one behind them.
        space: class that stands between the two; None joins none.
        share: (rank, ranks): of several devices, each takes every so manieth batch.
        skip: batches of this device that were learnt from already, before a training was cut short.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        plan: Sequence[Sequence[int]],
        *,
        geometry: Geometry,
        seed: int = 0,
        epoch: int = 0,
        strength: float = 0.0,
        masking: float = 0.0,
        joining: float = 0.0,
        space: int | None = None,
        share: tuple[int, int] = (0, 1),
        skip: int = 0,
    ) -> None:
        self._samples = samples
        self._first, self._every = share
        self._plan = plan[self._first :: self._every]
        self._skip = skip
        self._geometry = geometry
        self._seed = seed
        self._epoch = epoch
        self._strength = strength
        self._masking = masking
        self._joining = joining if space is not None else 0.0
        self._space = [] if space is None else [space]
        self.seconds = 0.0
        """Spent on making batches so far: what training waited for."""

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        for number, rows in enumerate(self._plan):
            if number < self._skip:
                continue
            began = time.perf_counter()
            rng = np.random.default_rng((self._seed, self._epoch, 2, self._first + number * self._every))
            batch = self._collate([self._samples[i] for i in rows], rng)
            self.seconds += time.perf_counter() - began
            yield batch

    def _collate(self, samples: Sequence[Sample], rng: np.random.Generator) -> Batch:
        step = self._geometry.column_step
        shown = [self._shown(sample, rng) for sample in samples]
        lines = [line for line, _ in shown]
        steps = [-(-line.shape[1] // step) for line in lines]
        width = -(-max(steps) * step // WIDTH_STEP) * WIDTH_STEP
        images = np.zeros((len(lines), 1, self._geometry.height, width), np.float32)
        for row, line in enumerate(lines):
            images[row, 0, :, : line.shape[1]] = line
        return Batch(
            images=torch.from_numpy(images),
            steps=torch.tensor(steps),
            targets=torch.tensor([c for _, ids in shown for c in ids]),
            target_lengths=torch.tensor([len(ids) for _, ids in shown]),
        )

    def _shown(self, sample: Sample, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], list[int]]:
        """Return a line as it is learnt from, another one behind it now and then."""
        line, class_ids = self._distorted(sample, rng), list(sample.class_ids)
        if self._joining > 0 and rng.random() < self._joining:
            other = self._samples[int(rng.integers(len(self._samples)))]
            gap = np.zeros((len(line), round(rng.uniform(0.3, 0.8) * len(line))), np.float32)
            line = np.concatenate([line, gap, self._distorted(other, rng)], axis=1)
            class_ids += [*self._space, *other.class_ids]
        if self._masking > 0:
            line = mask_spans(line, rng, share=self._masking)
        return line, class_ids

    def _distorted(self, sample: Sample, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        line = sample.ink_HW.astype(np.float32) / np.float32(255)
        if self._strength <= 0:
            return line
        distorted = augment(line, rng, strength=self._strength)
        # A line squeezed below the steps that its text needs has infinite loss: keep it as it was.
        needed = len(sample.class_ids) + sum(a == b for a, b in pairwise(sample.class_ids))
        return distorted if distorted.shape[1] // self._geometry.column_step >= needed else line
