"""What a training runs on: how many devices, who starts their processes, and in which precision they compute."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

from htr.errors import SettingsError

logger = logging.getLogger(__name__)

FULL, HALF = "32-true", "bf16-mixed"
"""Lightning's names of the two precisions."""
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

    def check(self) -> None:
        """Refuse what would wait for ever.

        Raises:
            SettingsError: several machines, and nothing that brings their processes together.
        """
        if self.machines > 1 and not self.started_outside:
            raise SettingsError(
                f"{self.machines} machines: start the same command on each of them by torchrun, or as a TrainJob; "
                "nothing says here where the others are"
            )

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

    def lightning_precision(self, begun: str = "") -> Any:
        """Return Lightning's name of the precision.

        Args:
            begun: of the training that is gone on with, "" for none: ``auto`` stays with it where it can, so that
                a run that goes on elsewhere ends as one left alone.
        """
        able = self.precision == "auto" and _computes_with_bf16(self.accelerator)
        fits = self.precision == "bf16" or (able and begun != FULL)
        if self.precision == "auto" and begun == HALF and not able:
            logger.warning(
                "this training began with bf16, which this machine does not compute with: it goes on in 32 bits "
                "and ends with somewhat other weights"
            )
        return HALF if fits else FULL


def _computes_with_bf16(accelerator: str) -> bool:
    """Return whether bf16 is a gain: emulated, it is many times slower than 32 bits."""
    if accelerator in {"auto", "gpu"} and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capability = torch.backends.cpu.get_cpu_capability()
    return capability == "AVX512" and bool(torch.cpu._is_avx512_bf16_supported())
