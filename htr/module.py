"""What Lightning trains: the network, its loss, its optimiser, its lines, on one device or on several."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss

from htr.alphabet import Alphabet
from htr.auxiliary import AuxiliaryDecoder
from htr.batches import Batch, EpochBatches
from htr.ctc import best_path
from htr.errors import DivergedError
from htr.image import Geometry
from htr.metrics import ErrorCounts, count_errors
from htr.model import LineNet
from htr.plan import Plan, cosine_with_warmup, judged_together
from htr.store import LineStore

STOPPED = "stopped"
"""Of a checkpoint: there where an epoch was cut short."""
PRECISION = "precision"
"""Of a checkpoint: Lightning's name of what it was trained in."""


class LineModule(pl.LightningModule):
    """The network with everything that teaches it.

    Args:
        net: to be trained, in place.
        train_lines: what it learns from.
        val_lines: what its rate is measured on after every epoch.
        plan: which lines come when.
        alphabet: of the classes.
        geometry: of the lines.
        learning_rate: its peak.
        weight_decay: of AdamW (Loshchilov and Hutter 2019).
        warmup_share: share of all steps over which the learning rate rises.
        augmentation: strength of the distortions.
        shortcut_weight: of the training-only CTC head past the encoder.
        masking: share of the columns that are wiped in training.
        joining: share of the lines that are shown with another one behind them.
        auxiliary_weight: of a training-only decoder that spells each line from the encoder's features; 0: none.
        label_smoothing: share of a letter's probability that this decoder spreads over all.
    """

    def __init__(
        self,
        net: LineNet,
        train_lines: LineStore,
        val_lines: LineStore,
        plan: Plan,
        *,
        alphabet: Alphabet,
        geometry: Geometry,
        learning_rate: float,
        weight_decay: float,
        warmup_share: float,
        augmentation: float,
        shortcut_weight: float,
        masking: float = 0.0,
        joining: float = 0.0,
        auxiliary_weight: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.net = net
        self.auxiliary = AuxiliaryDecoder(net.head.in_features, net.num_classes) if auxiliary_weight > 0 else None
        """Learns beside the network; a checkpoint holds it, a bundle does not."""
        self.plan = plan
        self._train_lines = train_lines
        self._val_lines = val_lines
        self._alphabet = alphabet
        self._geometry = geometry
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._warmup_share = warmup_share
        self._augmentation = augmentation
        self._shortcut_weight = shortcut_weight
        self._masking = masking
        self._joining = joining
        self._auxiliary_weight = auxiliary_weight
        self._label_smoothing = label_smoothing
        self._errors = ErrorCounts()
        self._train_loss: list[float] = []
        self._val_loss: list[float] = []
        self.epoch_metrics: dict[str, float] = {}
        """Of the last epoch, alike on every device."""
        self.batches: EpochBatches | None = None
        """Of the epoch that runs."""
        self._resumed: dict[str, Any] = {}
        """Of an epoch that was cut short: how far it was, and what each device knew by itself."""
        self._stopping: dict[str, Any] = {}
        """The same, of the epoch that is about to be cut short."""

    def train_dataloader(self) -> EpochBatches:
        """Return this epoch's batches for this device."""
        epoch, rank = self.trainer.current_epoch, self.trainer.global_rank
        # Dropout draws from torch's own generator: seeded anew, a resumed epoch drops what it would have dropped.
        torch.manual_seed(self.plan.seed * 1_000_003 + epoch * self.plan.ranks + rank)
        goes_on = bool(self._resumed) and self._resumed["epoch"] == epoch
        if goes_on:
            self._take_up(rank)
        self.batches = EpochBatches(
            self._train_lines,
            self.plan.epoch(epoch),
            geometry=self._geometry,
            seed=self.plan.seed,
            epoch=epoch,
            strength=self._augmentation,
            masking=self._masking,
            joining=self._joining,
            space=None if self._alphabet.missing(" ") else self._alphabet.encode(" ")[0],
            share=(rank, self.plan.ranks),
            skip=self._resumed["done"] if goes_on else 0,
        )
        return self.batches

    def stop_after(self, done: int) -> None:
        """Have the next checkpoint hold an epoch that is cut short after so many steps; called on every device."""
        mine = {
            "random": torch.get_rng_state(),
            "losses": torch.tensor(self._train_loss, dtype=torch.float32),  # of which they are
            "figures": torch.cat(
                [b.detach().float().flatten().cpu() for b in self._figures()] or [torch.zeros(0)]
            ),
        }
        if self.device.type == "cuda":
            mine["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.plan.ranks > 1:
            gathered = {name: self._of_all(value) for name, value in mine.items()}
        else:
            gathered = {name: value[None] for name, value in mine.items()}
        self._stopping = {"epoch": self.trainer.current_epoch, "done": done, **gathered}

    def _of_all(self, value: Tensor) -> Tensor:
        together = self.all_gather(value.to(self.device))
        assert isinstance(together, Tensor)  # noqa: S101 - of a tensor it makes one
        return together.cpu()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the precision, and what an epoch that was cut short needs, beyond Lightning's own."""
        checkpoint[PRECISION] = self.trainer.precision
        if self._stopping:
            checkpoint[STOPPED] = self._stopping

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember it until that epoch's batches are asked for."""
        self._resumed = checkpoint.get(STOPPED, {})

    def _take_up(self, rank: int) -> None:
        """Know what this device knew: its random numbers, its losses, its own batch norm figures."""
        kept = self._resumed
        torch.set_rng_state(kept["random"][rank].clone())
        if "cuda" in kept and self.device.type == "cuda":
            torch.cuda.set_rng_state(kept["cuda"][rank].clone(), self.device)
        self._train_loss = kept["losses"][rank].tolist()
        start = 0
        for buffer in self._figures():
            values = kept["figures"][rank, start : start + buffer.numel()]
            buffer.copy_(values.view_as(buffer).to(buffer.device))
            start += buffer.numel()

    def _figures(self) -> list[Tensor]:
        return [buffer for buffer in self.net.buffers() if buffer.is_floating_point()]

    def val_dataloader(self) -> EpochBatches:
        """Return this device's validation lines, widest last."""
        batches = judged_together(self._val_lines.widths, 2 * self.plan.batch_size, self.plan.ranks)
        share = (self.trainer.global_rank, self.plan.ranks)
        return EpochBatches(self._val_lines, batches, geometry=self._geometry, share=share)

    def _loss(self, log_probs_BTK: Tensor, batch: Batch) -> Tensor:
        return ctc_loss(
            log_probs_BTK.transpose(0, 1).float(),
            batch.targets,
            batch.steps,
            batch.target_lengths,
            reduction="mean",
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the CTC loss per character (Graves et al. 2006), those of shortcut and decoder added."""
        features_BTD, shortcut_BTK = self.net.encode_with_shortcut(batch.images, batch.steps)
        loss = self._loss(self.net.score(features_BTD), batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(
                f"training diverged: loss {value} in epoch {self.trainer.current_epoch}, batch {batch_idx}; "
                "lower the learning rate"
            )
        self._train_loss.append(value)
        total = loss + self._shortcut_weight * self._loss(shortcut_BTK, batch)
        if self.auxiliary is None:
            return total
        return total + self._auxiliary_weight * self.auxiliary.loss(
            features_BTD, batch.steps, batch.targets, batch.target_lengths, smoothing=self._label_smoothing
        )

    def on_validation_epoch_start(self) -> None:
        """Let every device judge the same network: batch norm's running figures are averaged over them.

        Averaged weights have taken the place of the weights themselves by now, with figures of their own.
        """
        if self.plan.ranks > 1:
            for buffer in self._figures():
                buffer.copy_(self._summed(buffer) / self.plan.ranks)

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
        """Add the counts of all devices up, and log the rates."""
        mine = [float(self._errors.edits), float(self._errors.characters)]
        for losses in (self._train_loss, self._val_loss):
            mine += [sum(losses), len(losses)]
        counts = torch.tensor(mine, dtype=torch.float64, device=self._device_of_counts())
        edits, characters, train_loss, train_batches, val_loss, val_batches = self._summed(counts).tolist()
        cer = edits / max(1.0, characters)
        self.log("val_cer", cer)
        self.epoch_metrics = {
            "loss": train_loss / max(1.0, train_batches),
            "val_loss": val_loss / max(1.0, val_batches),
            "val_cer": cer,
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        }
        self._errors = ErrorCounts()
        self._train_loss, self._val_loss = [], []

    def _device_of_counts(self) -> torch.device:
        # Apple's GPUs know no 64-bit floats; nothing is exchanged there.
        return self.device if self.plan.ranks > 1 else torch.device("cpu")

    def _summed(self, values: Tensor) -> Tensor:
        if self.plan.ranks == 1:
            return values
        summed = self.trainer.strategy.reduce(values, reduce_op="sum")
        return summed if isinstance(summed, Tensor) else values

    def configure_optimizers(self) -> Any:
        """Return AdamW with warm-up and cosine, stepped every batch."""
        optimizer = torch.optim.AdamW(self._decayed(), self._learning_rate, weight_decay=self._weight_decay)
        total = self.plan.steps
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, total=total, warmup_share=self._warmup_share)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _decayed(self) -> Iterable[dict[str, Any]]:
        weights: Sequence[Tensor] = [p for p in self.parameters() if p.dim() > 1]
        others: Sequence[Tensor] = [p for p in self.parameters() if p.dim() <= 1]
        return [{"params": weights}, {"params": others, "weight_decay": 0.0}]
