"""Lines dataset -> training batches: decoded once, cut into width buckets, padded with paper.

The order of the batches and every distortion follow from (seed, epoch) alone, so that a run killed and started
again at an epoch goes on exactly as one left alone.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htr.alphabet import Alphabet
from htr.augment import augment
from htr.ctc import steps_needed
from htr.errors import ImageError
from htr.image import Geometry, decode, line_tensor
from htr.lines import LinesDataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One line, ready for the network but for its distortion."""

    id: str
    source: str
    ink_HW: npt.NDArray[np.uint8]
    """0 paper .. 255 ink: a quarter of the memory that floats would take."""
    class_ids: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """The usable lines of a split, and what was left out."""

    samples: list[Sample]
    excluded: list[tuple[str, str]] = field(default_factory=list)
    """(line id, reason); reasons: ``undecodable``, ``unknown_character``, ``too_few_steps``, ..."""

    def reasons(self) -> dict[str, int]:
        """Count what was left out by reason."""
        return dict(sorted(Counter(reason for _, reason in self.excluded).items()))


class Batch(NamedTuple):
    """Padded lines; a tuple, so that Lightning can move it to a device.

    Shapes: images (B, 1, H, W), steps (B), targets (sum of target_lengths), target_lengths (B).
    """

    images: Tensor
    steps: Tensor
    targets: Tensor
    target_lengths: Tensor


def load_samples(
    dataset: LinesDataset,
    split: str,
    *,
    geometry: Geometry,
    alphabet: Alphabet,
    on_line: Callable[[int], None] = lambda _: None,
) -> Samples:
    """Decode the lines of a split; those that CTC cannot learn are listed, never guessed at.

    Args:
        dataset: where the lines come from.
        split: one of htr.lines.SPLITS.
        geometry: scaling, as it will be at serving.
        alphabet: lines with characters outside it are left out.
        on_line: called with the number of lines seen so far.
    """
    samples: list[Sample] = []
    excluded: list[tuple[str, str]] = []
    for number, line in enumerate(dataset.lines(split), start=1):
        on_line(number)
        if alphabet.missing(line.text):
            excluded.append((line.id, "unknown_character"))
            continue
        try:
            tensor_1HW = line_tensor(decode(line.image), geometry)
        except ImageError as error:
            excluded.append((line.id, error.reason))
            continue
        class_ids = alphabet.encode(line.text)  # in visual order, so that other characters are neighbours
        if tensor_1HW.shape[2] // geometry.column_step < steps_needed(class_ids):
            excluded.append((line.id, "too_few_steps"))
            continue
        ink = np.rint(tensor_1HW[0] * 255).astype(np.uint8)
        samples.append(Sample(id=line.id, source=line.source, ink_HW=ink, class_ids=class_ids))
    return Samples(samples=samples, excluded=excluded)


def plan_epoch(
    widths: Sequence[int], *, batch_size: int, seed: int, epoch: int, repeats: Sequence[int] | None = None
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
    """
    rng = np.random.default_rng((seed, epoch, 1))
    order = rng.permutation(np.repeat(np.arange(len(widths)), repeats if repeats is not None else 1))
    batches: list[list[int]] = []
    chunk_size = 16 * batch_size
    for start in range(0, len(order), chunk_size):
        chunk = sorted(order[start : start + chunk_size].tolist(), key=lambda i: widths[i])
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class EpochBatches:
    """The batches of one epoch, in order; what a torch DataLoader without workers would give.

    Args:
        samples: the usable lines.
        plan: sample numbers of each batch.
        geometry: for the padding.
        seed: of the run.
        epoch: from 0.
        strength: of the distortions; 0 for validation.
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
    ) -> None:
        self._samples = samples
        self._plan = plan
        self._geometry = geometry
        self._seed = seed
        self._epoch = epoch
        self._strength = strength

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        for number, rows in enumerate(self._plan):
            rng = np.random.default_rng((self._seed, self._epoch, 2, number))
            yield self._collate([self._samples[i] for i in rows], rng)

    def _collate(self, samples: Sequence[Sample], rng: np.random.Generator) -> Batch:
        step = self._geometry.column_step
        lines = [self._distorted(sample, rng) for sample in samples]
        steps = [-(-line.shape[1] // step) for line in lines]
        images = np.zeros((len(lines), 1, self._geometry.height, max(steps) * step), np.float32)
        for row, line in enumerate(lines):
            images[row, 0, :, : line.shape[1]] = line
        return Batch(
            images=torch.from_numpy(images),
            steps=torch.tensor(steps),
            targets=torch.tensor([c for s in samples for c in s.class_ids]),
            target_lengths=torch.tensor([len(s.class_ids) for s in samples]),
        )

    def _distorted(self, sample: Sample, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        line = sample.ink_HW.astype(np.float32) / np.float32(255)
        if self._strength <= 0:
            return line
        distorted = augment(line, rng, strength=self._strength)
        # A line squeezed below the steps that its text needs has infinite loss: keep it as it was.
        needed = len(sample.class_ids) + sum(a == b for a, b in pairwise(sample.class_ids))
        return distorted if distorted.shape[1] // self._geometry.column_step >= needed else line
