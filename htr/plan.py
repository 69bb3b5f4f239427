"""Which lines are shown when, and how much is learnt from them: functions of the seed and the step alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from htr.batches import plan_epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which lines are shown when."""

    widths: Sequence[int]
    repeats: Sequence[int]
    epochs: int
    batch_size: int
    """Lines a batch, on each device."""
    seed: int
    ranks: int
    """Devices that share an epoch, each taking every so manieth batch."""
    batches_per_epoch: int
    """On each device."""
    total_lines: int
    by_pixels: bool = False
    """Batches of about as many pixels instead of as many lines."""

    @classmethod
    def of(
        cls,
        widths: Sequence[int],
        *,
        corrected: Sequence[bool],
        max_lines: int,
        batch_size: int,
        seed: int,
        correction_share: float,
        ranks: int = 1,
        by_pixels: bool = False,
    ) -> "Plan":
        """Spend a budget of lines on whole epochs, or on a part of one where the budget is smaller."""
        num_corrected, num_others = sum(corrected), len(corrected) - sum(corrected)
        repeat = 1
        if num_corrected and num_others:
            repeat = max(1, round(correction_share / (1 - correction_share) * num_others / num_corrected))
        repeats = [repeat if is_corrected else 1 for is_corrected in corrected]
        lines_per_epoch = sum(repeats)
        epochs = max(1, round(max_lines / lines_per_epoch))
        shown = min(lines_per_epoch, max_lines)
        return cls(
            widths=widths,
            repeats=repeats,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            ranks=ranks,
            batches_per_epoch=math.ceil(shown / batch_size / ranks),
            total_lines=epochs * shown,
            by_pixels=by_pixels,
        )

    @property
    def lines_per_epoch(self) -> int:
        """Lines shown in an epoch, repetitions counted."""
        return self.total_lines // self.epochs

    @property
    def steps(self) -> int:
        """Steps of the optimiser in all."""
        return self.epochs * self.batches_per_epoch

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of one epoch, of all devices together.

        Every device gets equally many, since each waits for the others at every step; and what they learn from at
        the same step is about equally wide, so that none waits long. Where lines do not divide, the first ones
        come once more.
        """
        together = plan_epoch(
            self.widths,
            batch_size=self.batch_size * self.ranks,
            seed=self.seed,
            epoch=number,
            repeats=self.repeats,
            by_pixels=self.by_pixels,
        )
        dealt = [rows[rank :: self.ranks] or rows[:1] for rows in together for rank in range(self.ranks)]
        wanted = self.batches_per_epoch * self.ranks
        return [dealt[i % len(dealt)] for i in range(wanted)]


def cosine_with_warmup(step: int, *, total: int, warmup_share: float) -> float:
    """Return the learning rate's factor at a step: a straight rise, then half a cosine down to 1 %.

    Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", without the restarts.
    """
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def judged_together(widths: Sequence[int], batch_size: int, ranks: int) -> list[list[int]]:
    """Return the batches of validation lines, widest last, by their places.

    Args:
        widths: of the lines, in pixels; at least as many as there are ranks.
        batch_size: lines in a batch; fewer where some device would have no batch otherwise.
        ranks: devices that batches are dealt out to by turns.
    """
    order = sorted(range(len(widths)), key=lambda i: widths[i])
    size = max(1, min(batch_size, len(order) // ranks))
    return [order[i : i + size] for i in range(0, len(order), size)]
