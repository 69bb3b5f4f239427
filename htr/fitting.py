"""The training loop on Lightning: a module in, the best weights in a work folder; one device, or several.

WORK/last.ckpt           Lightning's checkpoint after every epoch, and on SIGTERM: what a killed run resumes from
WORK/best.safetensors    weights of the epoch that is kept so far

Several devices of one machine are processes that Lightning starts; on several machines every process is started
from outside (torchrun, or Kubeflow's trainer), with the same command. Data order, and so the result, is a function
of the seed and of how many devices share the work.
"""

import errno
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from safetensors import SafetensorError
from torch.multiprocessing.spawn import ProcessRaisedException

from htr.devices import Devices
from htr.errors import DivergedError, OutputError, PreemptedError, SettingsError
from htr.keeper import Keeper, OnProgress, quiet
from htr.module import PRECISION, STOPPED, LineModule
from htr.preemption import Elsewhere, Preemption, passed_on

LAST, BEST = "last.ckpt", "best.safetensors"
"""Files that a training goes on from."""
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""What a disk that cannot be written to is told by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which weights are kept."""

    keep_last: bool = False
    """Of the last epoch, rather than of the one with the lowest validation CER."""
    patience: int = 20
    """Epochs without a better validation CER before training stops; no bound where the last epoch is kept."""
    averaging: float = 0.0
    """Decay of the moving average of the weights that is judged and kept; 0 keeps the weights themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """How a training ended."""

    best_cer: float
    """Validation CER of the weights that were kept, a fraction."""
    epochs: int
    """Done in all, those before a kill included."""
    resumed_at: int
    """Epoch it went on from; 0 for a run that started afresh."""
    loader_share: float
    """Share of the training time that passed in making batches; 0 where nothing was left to train."""


class Fit:
    """One training run in its work folder.

    Args:
        folder: holds the checkpoint; created when missing.
        module: what to train.
        devices: on what.
        choice: which weights are kept.
        elsewhere: place that keeps a copy of the checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        module: LineModule,
        devices: Devices,
        choice: Choice,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.folder = folder
        self.best_weights = folder / BEST
        self._module = module
        self._devices = devices
        self._choice = choice
        self._elsewhere = elsewhere

    def run(self, *, clip_norm: float, on_progress: OnProgress) -> Fitted | None:
        """Train to the end of the plan or until patience ends.

        Returns:
            How it ended; None in all but the first of several processes that something else started.

        Raises:
            DivergedError: the loss is no number any more.
            OutputError: the folder cannot be written.
            PreemptedError: SIGTERM came; the checkpoint is written.
            SettingsError: this machine has no such devices.
            StoreError: a checkpoint kept elsewhere cannot be had.
            KeyboardInterrupt: somebody stopped it; what is on disk is the last whole epoch.
        """
        quiet()
        self.folder.mkdir(parents=True, exist_ok=True)
        last = self.folder / LAST
        if self._elsewhere is not None and not last.is_file():
            self._elsewhere.bring(self.folder)
        begun = _checkpoint(last) if last.is_file() else {}
        resumed_at = _epochs_done(begun) if begun else 0
        with self._telling(on_progress) as tell:
            trainer = self._trainer(begun, resumed_at, clip_norm=clip_norm, tell=tell)
            with passed_on() if self._spawns else nullcontext():
                self._fit(trainer, last)
        if self._devices.started_outside and not trainer.is_global_zero:
            return None
        # Spawned processes took their state with them: what counts is what they wrote.
        end = _checkpoint(last)
        (kept,) = [state for name, state in end["callbacks"].items() if name.startswith(Keeper.__qualname__)]
        share = kept["loader_s"] / kept["train_s"] if kept["train_s"] else 0.0
        return Fitted(
            best_cer=kept["best_cer"], epochs=int(end["epoch"]) + 1, resumed_at=resumed_at, loader_share=share
        )

    def _trainer(
        self, begun: dict[str, Any], resumed_at: int, *, clip_norm: float, tell: OnProgress
    ) -> pl.Trainer:
        """Return Lightning's trainer, which trains nothing where the run that is gone on with had ended.

        Args:
            begun: the checkpoint that is gone on from, empty for none.
            resumed_at: epochs that it has behind it.
            clip_norm: largest gradient norm.
            tell: takes progress.
        """
        try:
            return pl.Trainer(
                accelerator=self._devices.accelerator,
                devices=self._devices.count,
                num_nodes=self._devices.machines,
                strategy=self._devices.strategy(),
                precision=self._devices.lightning_precision(begun.get(PRECISION, "")),
                use_distributed_sampler=False,
                max_epochs=resumed_at if _out_of_patience(begun) else self._module.plan.epochs,
                gradient_clip_val=clip_norm,
                callbacks=self._callbacks(tell),
                reload_dataloaders_every_n_epochs=1,
                num_sanity_val_steps=0,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                deterministic="warn",
            )
        except MisconfigurationException as error:
            said = str(error).splitlines()[0]
            raise SettingsError(
                f"{self._devices.count} devices of accelerator {self._devices.accelerator!r}: {said}; choose "
                "others that this machine has"
            ) from error

    def _fit(self, trainer: pl.Trainer, last: Path) -> None:
        try:
            # Tensors and plain values only: a checkpoint is never allowed to run code.
            trainer.fit(self._module, ckpt_path=last if last.is_file() else None, weights_only=True)
        except ProcessRaisedException as error:  # of a spawned process, as text
            for kind in (DivergedError, OutputError, PreemptedError):
                if (found := re.search(rf"{kind.__name__}: (.+)", str(error))) is not None:
                    raise kind(found[1]) from error
            raise
        except (OSError, SafetensorError) as error:
            if isinstance(error, OSError) and error.errno not in DISK:
                raise
            said = error.strerror if isinstance(error, OSError) else error
            raise OutputError(
                f"{self.folder}: cannot be written ({said}); free the disk or choose another work folder, and run "
                "the same command again: it goes on from the last whole epoch"
            ) from error
        except SystemExit as error:  # how Lightning answers Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt from error
            raise

    @property
    def _spawns(self) -> bool:
        """Return whether the devices' processes are started here."""
        return self._devices.ranks > 1 and not self._devices.started_outside

    def _callbacks(self, tell: OnProgress) -> list[Callback]:
        """Return what watches training; the keeper first, so that it sees the weights that were judged."""
        choice = self._choice
        callbacks: list[Callback] = [
            Keeper(self.folder, self._devices.num_threads, choice.keep_last, tell),
            ModelCheckpoint(self.folder, filename="last", save_top_k=1, enable_version_counter=False),
        ]
        if not choice.keep_last:
            callbacks.append(EarlyStopping("val_cer", patience=choice.patience, mode="min"))
        if choice.averaging:
            callbacks.append(WeightAveraging(avg_fn=_Decaying(choice.averaging)))
        callbacks.append(Preemption(self.folder / LAST, self._elsewhere))
        return callbacks

    @contextmanager
    def _telling(self, on_progress: OnProgress) -> Iterator[OnProgress]:
        """Yield what takes progress; from spawned processes it comes through a queue, and is told here."""
        if not self._spawns:
            yield on_progress
            return
        queue = torch.multiprocessing.get_context("spawn").SimpleQueue()

        raised: list[BaseException] = []

        def pass_on() -> None:
            while (told := queue.get()) is not None:
                try:
                    if not raised:
                        on_progress(*told)
                except BaseException as error:  # raised again where the caller can see it, once training ends
                    raised.append(error)

        listener = threading.Thread(target=pass_on, name="progress", daemon=True)
        listener.start()
        try:
            yield _Told(queue)
        finally:
            queue.put(None)
            listener.join(timeout=10)
        if raised:
            raise raised[0]


class _Decaying:
    """Exponential moving average; torch's own cannot be sent to a spawned process."""

    def __init__(self, decay: float) -> None:
        self._decay = decay

    def __call__(self, average: torch.Tensor, current: torch.Tensor, num_averaged: torch.Tensor) -> torch.Tensor:
        return self._decay * average + (1 - self._decay) * current


class _Told:
    """Progress of a spawned process: goes to the one that started it."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __call__(self, done: int, rate: float, epoch: int, metrics: dict[str, float]) -> None:
        self._queue.put((done, rate, epoch, metrics))


def _checkpoint(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return found


def _epochs_done(checkpoint: dict[str, Any]) -> int:
    """Return how many whole epochs a checkpoint has behind it."""
    return int(checkpoint["epoch"]) + (0 if STOPPED in checkpoint else 1)


def _out_of_patience(checkpoint: dict[str, Any]) -> bool:
    """Return whether the training of a checkpoint had stopped early; Lightning forgets that, and would go on."""
    states = checkpoint.get("callbacks", {}).items()
    waits = [state for name, state in states if name.startswith(EarlyStopping.__qualname__)]
    return STOPPED not in checkpoint and any(state["wait_count"] >= state["patience"] for state in waits)
