"""The callback that keeps the chosen weights of a training on disk, and tells how far it is."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file

from htr.module import LineModule

OnProgress = Callable[[int, float, int, dict[str, float]], None]
"""Called with lines done, lines a second, epoch, and at an epoch's end its metrics."""


class Keeper(Callback):
    """Keeps the chosen weights on disk and tells how far training is.

    Args:
        folder: for ``best.safetensors``.
        num_threads: processor threads of this process.
        keep_last: the last epoch's weights, rather than those of the lowest validation CER.
        on_progress: told often while lines are learnt, and at every epoch's end.
    """

    def __init__(self, folder: Path, num_threads: int, keep_last: bool, on_progress: OnProgress) -> None:
        self._folder = folder
        self._keep_last = keep_last
        self._judged: dict[str, torch.Tensor] = {}
        self._num_threads = num_threads
        self._on_progress = on_progress
        self._best_cer = math.inf
        self._loader_s, self._train_s = 0.0, 0.0
        self._first_epoch = self._before = 0
        self._began = self._epoch_began = time.monotonic()
        self._seen = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on with."""
        return {"best_cer": self._best_cer, "loader_s": self._loader_s, "train_s": self._train_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self._best_cer = state_dict["best_cer"]
        self._loader_s, self._train_s = state_dict["loader_s"], state_dict["train_s"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Settle this process's threads and log."""
        torch.set_num_threads(self._num_threads)  # a spawned process begins with all of them
        quiet()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
        self._first_epoch = trainer.current_epoch
        self._began = self._epoch_began = time.monotonic()
        steps = trainer.fit_loop.epoch_loop.batch_progress.current.ready % pl_module.plan.batches_per_epoch
        self._before = self._first_epoch * pl_module.plan.lines_per_epoch
        self._before += steps * pl_module.plan.batch_size * pl_module.plan.ranks  # of an epoch that was cut short

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count lines; tell now and then."""
        assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
        self._seen += len(batch.steps) * pl_module.plan.ranks
        if batch_idx % 8 == 0:
            self._tell(trainer, pl_module, {})

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's times up."""
        assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
        self._train_s += time.monotonic() - self._epoch_began
        self._loader_s += pl_module.batches.seconds if pl_module.batches is not None else 0.0

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what was judged: afterwards an average of weights gives way to the weights themselves."""
        if trainer.is_global_zero:
            assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
            self._judged = {k: v.detach().cpu().clone() for k, v in pl_module.net.state_dict().items()}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the weights, where they are the ones to keep."""
        assert isinstance(pl_module, LineModule)  # noqa: S101 - tells the type checker
        cer = pl_module.epoch_metrics["val_cer"]
        if self._keep_last or cer < self._best_cer:
            self._best_cer = cer
            if trainer.is_global_zero:
                partial = self._folder / "best.partial"
                save_file({k: v.contiguous() for k, v in self._judged.items()}, partial)
                partial.replace(self._folder / "best.safetensors")
        self._tell(trainer, pl_module, pl_module.epoch_metrics)

    def _tell(self, trainer: pl.Trainer, module: LineModule, metrics: dict[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        elapsed = max(1e-6, time.monotonic() - self._began)
        done = min(self._before + self._seen, module.plan.total_lines)
        self._on_progress(done, self._seen / elapsed, trainer.current_epoch, metrics)


def quiet() -> None:
    """Let Lightning tell of errors only."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
