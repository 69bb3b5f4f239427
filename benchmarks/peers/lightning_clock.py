"""The training clock as a Lightning callback, for peers that train with Lightning, in one process or several."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl

from benchmarks.peers.meter import Meter

STOP_ASKED_EVERY = 16
"""Batches; several processes must agree on stopping, and asking each other takes time."""


class Clock(pl.Callback):
    """Tells a meter what the trainer does; the first process of several speaks for all.

    Args:
        meter: counts.
        count: function of a batch that returns its number of lines.
        cer: function of the trainer's metrics that returns the validation CER, or None.
        stop_after_s: ask the trainer to stop after so many seconds; it then validates once more and ends.
    """

    def __init__(
        self,
        meter: Meter,
        count: Callable[[Any], int],
        cer: Callable[[Any], float | None],
        stop_after_s: float | None = None,
    ) -> None:
        self._meter = meter
        self._count = count
        self._cer = cer
        self._stop_after_s = stop_after_s

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        if trainer.is_global_zero:
            self._meter.resume()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the lines, those of the other processes taken to be as many."""
        if trainer.is_global_zero:
            self._meter.batch(self._count(batch) * trainer.world_size)
        if self._stop_after_s is not None and batch_idx % STOP_ASKED_EVERY == 0:
            late = self._meter.age_s > self._stop_after_s
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(late, all=False)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock."""
        self._meter.pause()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Note the rate."""
        if trainer.is_global_zero:
            self._meter.validated(self._cer(trainer.callback_metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the last state."""
        if trainer.is_global_zero:
            self._meter.tell()


def attach(clock: Clock) -> None:
    """Give every Lightning trainer of this process the clock as its last callback."""
    original = pl.Trainer.__init__

    def with_clock(self: Any, *args: Any, **options: Any) -> None:
        callbacks = options.get("callbacks") or []
        options["callbacks"] = [*(callbacks if isinstance(callbacks, list) else [callbacks]), clock]
        original(self, *args, **options)

    setattr(pl.Trainer, "__init__", with_clock)  # noqa: B010 - mypy forbids the plain assignment
