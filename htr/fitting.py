"""The training loop on Lightning: a network, samples and a plan in; the best weights in a work folder.

WORK/last.ckpt           Lightning's checkpoint after every epoch: what a killed run resumes from
WORK/best.safetensors    weights of the epoch with the lowest validation CER
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import ctc_loss

from htr.alphabet import Alphabet
from htr.batches import Batch, EpochBatches, Sample, plan_epoch
from htr.ctc import best_path
from htr.errors import DivergedError
from htr.image import Geometry
from htr.metrics import ErrorCounts, count_errors
from htr.model import LineNet

OnProgress = Callable[[int, float, int, dict[str, float]], None]
"""Called with lines done, lines a second, epoch, and at an epoch's end its metrics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which lines are shown when: a function of the seed."""

    widths: Sequence[int]
    repeats: Sequence[int]
    epochs: int
    batch_size: int
    seed: int
    batches_per_epoch: int
    total_lines: int

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
            batches_per_epoch=math.ceil(shown / batch_size),
            total_lines=epochs * shown,
        )

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of one epoch."""
        batches = plan_epoch(
            self.widths, batch_size=self.batch_size, seed=self.seed, epoch=number, repeats=self.repeats
        )
        return batches[: self.batches_per_epoch]


class LineModule(pl.LightningModule):
    """What Lightning trains: the network, its loss, its optimiser, its lines."""

    def __init__(
        self,
        net: LineNet,
        train_samples: Sequence[Sample],
        val_samples: Sequence[Sample],
        plan: Plan,
        *,
        alphabet: Alphabet,
        geometry: Geometry,
        learning_rate: float,
        weight_decay: float,
        warmup_share: float,
        augmentation: float,
        shortcut_weight: float,
    ) -> None:
        super().__init__()
        self.net = net
        self.plan = plan
        self._train_samples = train_samples
        self._val_samples = val_samples
        self._alphabet = alphabet
        self._geometry = geometry
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._warmup_share = warmup_share
        self._augmentation = augmentation
        self._shortcut_weight = shortcut_weight
        self._errors = ErrorCounts()
        self.epoch_metrics: dict[str, float] = {}
        self._train_loss: list[float] = []
        self._val_loss: list[float] = []

    def train_dataloader(self) -> EpochBatches:
        """Return this epoch's batches."""
        epoch = self.trainer.current_epoch
        # Dropout draws from torch's own generator: seeded anew, a resumed epoch drops what it would have dropped.
        torch.manual_seed(self.plan.seed * 1_000_003 + epoch)
        return EpochBatches(
            self._train_samples,
            self.plan.epoch(epoch),
            geometry=self._geometry,
            seed=self.plan.seed,
            epoch=epoch,
            strength=self._augmentation,
        )

    def val_dataloader(self) -> EpochBatches:
        """Return the validation lines, widest last."""
        order = sorted(range(len(self._val_samples)), key=lambda i: self._val_samples[i].ink_HW.shape[1])
        size = 2 * self.plan.batch_size
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        return EpochBatches(self._val_samples, batches, geometry=self._geometry)

    def _loss(self, log_probs_BTK: Tensor, batch: Batch) -> Tensor:
        return ctc_loss(
            log_probs_BTK.transpose(0, 1).float(),
            batch.targets,
            batch.steps,
            batch.target_lengths,
            reduction="mean",
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the CTC loss per character (Graves et al. 2006), that of the shortcut added."""
        log_probs_BTK, shortcut_BTK = self.net.forward_with_shortcut(batch.images, batch.steps)
        loss = self._loss(log_probs_BTK, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(
                f"training diverged: loss {value} in epoch {self.trainer.current_epoch}, batch {batch_idx}; "
                "lower the learning rate"
            )
        self._train_loss.append(value)
        return loss + self._shortcut_weight * self._loss(shortcut_BTK, batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count the errors of best-path readings."""
        log_probs_BTK = self.net(batch.images, batch.steps)
        self._val_loss.append(float(self._loss(log_probs_BTK, batch)))
        ends = batch.target_lengths.cumsum(0).tolist()
        for row, (end, length) in enumerate(zip(ends, batch.target_lengths.tolist(), strict=True)):
            scores_TK = log_probs_BTK[row, : batch.steps[row]].float().cpu().numpy()
            reading = self._alphabet.decode(best_path(scores_TK).class_ids)
            truth = self._alphabet.decode(batch.targets[end - length : end].tolist())
            self._errors += count_errors(truth, reading)

    def on_validation_epoch_end(self) -> None:
        """Log the rate."""
        cer = self._errors.cer
        self.log("val_cer", cer)
        self.epoch_metrics = {
            "loss": _mean(self._train_loss),
            "val_loss": _mean(self._val_loss),
            "val_cer": cer,
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        }
        self._errors = ErrorCounts()
        self._train_loss, self._val_loss = [], []

    def configure_optimizers(self) -> Any:
        """Return AdamW with warm-up and cosine, stepped every batch."""
        optimizer = torch.optim.AdamW(self.net.parameters(), self._learning_rate, weight_decay=self._weight_decay)
        total = self.plan.epochs * self.plan.batches_per_epoch
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, total=total, warmup_share=self._warmup_share)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Keeper(Callback):
    """Keeps the best weights on disk and tells how far training is."""

    def __init__(self, folder: Path, module: LineModule, on_progress: OnProgress) -> None:
        self._folder = folder
        self._module = module
        self._on_progress = on_progress
        self.best_cer = math.inf
        self.best_epoch = -1
        self.first_epoch: int | None = None
        self._began = time.monotonic()
        self._seen = 0

    def state_dict(self) -> dict[str, Any]:
        return {"best_cer": self.best_cer, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_cer, self.best_epoch = state_dict["best_cer"], state_dict["best_epoch"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.first_epoch = trainer.current_epoch
        self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._seen += len(batch.steps)
        if batch_idx % 8 == 0:
            self._tell(trainer.current_epoch, {})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        cer = self._module.epoch_metrics["val_cer"]
        if trainer.is_global_zero and cer < self.best_cer:
            self.best_cer, self.best_epoch = cer, trainer.current_epoch
            partial = self._folder / "best.partial"
            save_file({k: v.cpu().contiguous() for k, v in self._module.net.state_dict().items()}, partial)
            partial.replace(self._folder / "best.safetensors")
        self._tell(trainer.current_epoch, self._module.epoch_metrics)

    def _tell(self, epoch: int, metrics: dict[str, float]) -> None:
        elapsed = max(1e-6, time.monotonic() - self._began)
        shown = self._module.plan.total_lines // self._module.plan.epochs
        self._on_progress((self.first_epoch or 0) * shown + self._seen, self._seen / elapsed, epoch, metrics)


class Fit:
    """One training run in its work folder.

    Args:
        folder: holds the checkpoint; created when missing.
        module: what to train.
        accelerator: Lightning's name of the device kind.
    """

    def __init__(self, folder: Path, module: LineModule, accelerator: str) -> None:
        self.folder = folder
        self.best_weights = folder / "best.safetensors"
        self._module = module
        self._accelerator = accelerator
        self.best_cer = math.inf
        self.epochs = 0

    def run(self, *, clip_norm: float, patience: int, on_progress: OnProgress) -> int:
        """Train to the end of the plan or until patience ends; return the epoch it resumed at."""
        for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.folder.mkdir(parents=True, exist_ok=True)
        keeper = _Keeper(self.folder, self._module, on_progress)
        checkpoint = ModelCheckpoint(self.folder, filename="last", save_top_k=1, enable_version_counter=False)
        stopping = EarlyStopping("val_cer", patience=patience, mode="min")
        trainer = pl.Trainer(
            accelerator=self._accelerator,
            devices=1,  # several would each write the bundle: not before that is built and tested
            max_epochs=self._module.plan.epochs,
            gradient_clip_val=clip_norm,
            callbacks=[keeper, stopping, checkpoint],
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            deterministic="warn",
        )
        last = self.folder / "last.ckpt"
        # Tensors and plain values only: a checkpoint is never allowed to run code.
        trainer.fit(self._module, ckpt_path=last if last.is_file() else None, weights_only=True)
        self.best_cer, self.epochs = keeper.best_cer, trainer.current_epoch
        # Killed after its last epoch, a run has nothing left to train and never starts.
        return trainer.current_epoch if keeper.first_epoch is None else keeper.first_epoch


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def cosine_with_warmup(step: int, *, total: int, warmup_share: float) -> float:
    """Return the learning rate's factor at a step: a straight rise, then half a cosine down to 1 %."""
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
