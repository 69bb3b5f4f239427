"""The training loop on Lightning: a module in, the best weights in a work folder; one device, or several.

WORK/last.ckpt           Lightning's checkpoint after every epoch, and on SIGTERM: what a killed run resumes from
WORK/best.safetensors    weights of the epoch that is kept so far

Several devices of one machine are processes that Lightning starts; on several machines every process is started
from outside (torchrun, or Kubeflow's trainer), with the same command. Data order, and so the result, is a function
of the seed and of how many devices share the work.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessRaisedException

from htr.errors import DivergedError, PreemptedError
from htr.keeper import Keeper, OnProgress, quiet
from htr.module import STOPPED, LineModule
from htr.preemption import Elsewhere, Preemption, passed_on

LAST, BEST = "last.ckpt", "best.safetensors"
"""Files that a training goes on from."""
LAUNCHED = ("TORCHELASTIC_RUN_ID", "LOCAL_RANK")
"""Set where somebody else starts the processes: torchrun, or Kubeflow's trainer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Devices:
    """What to train on."""

    accelerator: str
    """Lightning's name: auto, cpu, gpu."""
    count: int = 1
    """Of each machine."""
    machines: int = 1
    precision: str = "auto"
    """``32``, ``bf16``, or ``auto``: bf16 where the processor or GPU computes with it."""
    num_threads: int = 1
    """Processor threads of each process."""

    @property
    def ranks(self) -> int:
        """Devices in all."""
        return self.count * self.machines

    @property
    def started_outside(self) -> bool:
        """Whether this process is one of several that something else started."""
        return self.ranks > 1 and any(name in os.environ for name in LAUNCHED)

    def strategy(self) -> Any:
        """Return Lightning's strategy; processes of our own are spawned, never forked from a running torch."""
        if self.ranks == 1:
            return "auto"
        # The module averages batch norm's figures before it judges: no exchange at every step.
        return DDPStrategy(
            start_method="popen" if self.started_outside else "spawn",
            forward_sync_buffers=False,
            gradient_as_bucket_view=True,
        )

    def lightning_precision(self) -> Any:
        """Return Lightning's name of the precision."""
        fits = self.precision == "bf16" or (self.precision == "auto" and _computes_with_bf16(self.accelerator))
        return "bf16-mixed" if fits else "32-true"


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
            PreemptedError: SIGTERM came; the checkpoint is written.
            StoreError: a checkpoint kept elsewhere cannot be had.
        """
        quiet()
        self.folder.mkdir(parents=True, exist_ok=True)
        last = self.folder / LAST
        if self._elsewhere is not None and not last.is_file():
            self._elsewhere.bring(self.folder)
        resumed_at = _epochs_done(_checkpoint(last)) if last.is_file() else 0
        with self._telling(on_progress) as tell:
            trainer = pl.Trainer(
                accelerator=self._devices.accelerator,
                devices=self._devices.count,
                num_nodes=self._devices.machines,
                strategy=self._devices.strategy(),
                precision=self._devices.lightning_precision(),
                use_distributed_sampler=False,
                max_epochs=self._module.plan.epochs,
                gradient_clip_val=clip_norm,
                callbacks=self._callbacks(tell),
                reload_dataloaders_every_n_epochs=1,
                num_sanity_val_steps=0,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                deterministic="warn",
            )
            with passed_on() if self._spawns else nullcontext():
                try:
                    # Tensors and plain values only: a checkpoint is never allowed to run code.
                    trainer.fit(self._module, ckpt_path=last if last.is_file() else None, weights_only=True)
                except ProcessRaisedException as error:  # of a spawned process, as text
                    for kind in (DivergedError, PreemptedError):
                        if (found := re.search(rf"{kind.__name__}: (.+)", str(error))) is not None:
                            raise kind(found[1]) from error
                    raise
        if self._devices.started_outside and not trainer.is_global_zero:
            return None
        # Spawned processes took their state with them: what counts is what they wrote.
        end = _checkpoint(last)
        (kept,) = [state for name, state in end["callbacks"].items() if name.startswith(Keeper.__qualname__)]
        share = kept["loader_s"] / kept["train_s"] if kept["train_s"] else 0.0
        return Fitted(
            best_cer=kept["best_cer"], epochs=int(end["epoch"]) + 1, resumed_at=resumed_at, loader_share=share
        )

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


def _computes_with_bf16(accelerator: str) -> bool:
    """Return whether bf16 is a gain: emulated, it is many times slower than 32 bits."""
    if accelerator in {"auto", "gpu"} and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capability = torch.backends.cpu.get_cpu_capability()
    return capability == "AVX512" and bool(torch.cpu._is_avx512_bf16_supported())
