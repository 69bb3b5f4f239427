"""SIGTERM in the middle of an epoch: a checkpoint at once, so that whoever comes next goes on from that very step.

Kubernetes takes a pod away with a SIGTERM and some seconds. Every process of a training may be told, or only one
of them; they agree before one of them writes.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from htr.errors import PreemptedError, QuillflowError
from htr.module import LineModule

logger = logging.getLogger(__name__)

AGREE_EVERY = 4
"""Steps between two questions among several devices whether one of them was told to stop."""


class Elsewhere(Protocol):
    """A place that keeps a copy of a work folder's files; it can be sent to another process."""

    def send(self, folder: Path) -> None:
        """Copy the files there."""

    def bring(self, folder: Path) -> bool:
        """Copy them back; return whether there were any."""


class Preemption(Callback):
    """Makes a checkpoint and stops when SIGTERM has come; stands behind whatever else changes at a step's end.

    Args:
        checkpoint: file that is replaced.
        elsewhere: place that keeps a copy of the work folder's files, for machines that do not share the folder.
    """

    def __init__(self, checkpoint: Path, elsewhere: Elsewhere | None = None) -> None:
        self._checkpoint = checkpoint
        self._elsewhere = elsewhere
        self._began_at = 0
        self._told = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM over from Lightning, whose handler talks to other processes; it puts back what was."""
        self._began_at = trainer.current_epoch
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the last epoch's checkpoint; stop between two epochs, where it is there already."""
        copied = self._copy(trainer) if trainer.current_epoch > self._began_at else ""
        if trainer.current_epoch and self._agreed(trainer):
            self._stop(trainer.current_epoch, 0, copied)

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
        copied = self._copy(trainer)
        trainer.strategy.barrier("preempted")
        self._stop(trainer.current_epoch, done, copied)

    def _copy(self, trainer: pl.Trainer) -> str:
        """Send the checkpoint elsewhere; return why it could not be: a copy is not worth a training."""
        if self._elsewhere is None or not trainer.is_global_zero:
            return ""
        try:
            self._elsewhere.send(self._checkpoint.parent)
        except QuillflowError as error:
            logger.warning("the checkpoint was not copied: %s", error)
            return f" (not copied: {error})"
        return ""

    def _agreed(self, trainer: pl.Trainer) -> bool:
        if trainer.world_size == 1:
            return self._told
        return bool(trainer.strategy.reduce_boolean_decision(self._told, all=False))

    def _stop(self, epoch: int, done: int, copied: str) -> None:
        raise PreemptedError(
            f"told to stop in epoch {epoch + 1} after {done} steps of it; the checkpoint is written{copied}, "
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
