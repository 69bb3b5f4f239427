"""SIGTERM in the middle of an epoch: a checkpoint at once, so that whoever comes next goes on from that very step.

Kubernetes takes a pod away with a SIGTERM and some seconds. Every process of a training may be told, or only one
of them; they agree before one of them writes.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from htr.errors import PreemptedError
from htr.module import LineModule

AGREE_EVERY = 4
"""Steps between two questions among several devices whether one of them was told to stop."""


class Preemption(Callback):
    """Makes a checkpoint and stops when SIGTERM has come; stands behind whatever else changes at a step's end.

    Args:
        checkpoint: file that is replaced.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._told = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM over from Lightning, whose handler talks to other processes; it puts back what was."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs, where the checkpoint is there already."""
        if trainer.current_epoch and self._agreed(trainer):
            self._stop(trainer.current_epoch, 0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write everything down and stop, where somebody was told to."""
        assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
        done = batch_idx + 1
        if done == pl_module.plan.batches_per_epoch or (trainer.world_size > 1 and done % AGREE_EVERY):
            return  # after the last step the epoch ends by itself
        if not self._agreed(trainer):
            return
        pl_module.stop_after(done)
        partial = self._checkpoint.with_name("stopped.partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self._checkpoint)
        trainer.strategy.barrier("preempted")
        self._stop(trainer.current_epoch, done)

    def _agreed(self, trainer: pl.Trainer) -> bool:
        if trainer.world_size == 1:
            return self._told
        return bool(trainer.strategy.reduce_boolean_decision(self._told, all=False))

    def _stop(self, epoch: int, done: int) -> None:
        raise PreemptedError(
            f"told to stop in epoch {epoch + 1} after {done} steps of it; the checkpoint is written, "
            "and the same command with the same work folder goes on from it"
        )


@contextmanager
def passed_on() -> Iterator[None]:
    """Pass SIGTERM on to the processes that this one has spawned, and go on waiting for them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    import torch.multiprocessing

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in torch.multiprocessing.active_children():
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
