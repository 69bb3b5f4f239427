"""How to train: the settings, their defaults and their bounds. `htr.settings` builds them from plain JSON."""

import math
from dataclasses import dataclass, field

from htr.errors import SettingsError
from htr.model import ModelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How to train; together with the dataset and the base it decides the result."""

    seed: int = 1
    max_lines: int = 20_000
    """Budget: lines shown to the network, counting every repetition. It sets the number of epochs."""
    batch_size: int = 8
    learning_rate: float = 3e-3
    """Peak, after the warm-up."""
    weight_decay: float = 1e-2
    warmup_share: float = 0.1
    """Share of all steps over which the learning rate rises, 0..1."""
    clip_norm: float = 5.0
    """Gradients are scaled down to this norm."""
    augmentation: float = 1.0
    """Strength of the distortions; 0 is none."""
    masking: float = 0.0
    """Share of a line's columns that is wiped in training, 0..0.5; somewhat less, since the bands may overlap."""
    joining: float = 0.0
    """Share of the lines that are shown with another one behind them, 0..1; such lines are twice as wide."""
    batches_by: str = "pixels"
    """``pixels``: as many pixels in each batch, ``batch_size`` lines on average, with which learning starts far
    sooner (docs/experiments.md); ``lines``: as many lines."""
    averaging: float = 0.0
    """Decay, 0..1, of a moving average over the weights of all steps, which is then what is kept; 0 is none."""
    shortcut_weight: float = 0.5
    """Weight of the training-only CTC shortcut past the LSTMs; with none, learning starts far later."""
    auxiliary_weight: float = 0.0
    """Weight of a training-only decoder that spells each line from the encoder's features; 0 is none."""
    label_smoothing: float = 0.1
    """Share of a letter's probability that this decoder's loss spreads over all, 0..0.9; CTC's loss knows none."""
    patience: int = 20
    """Epochs without a better validation CER before training stops early; where the last epoch is kept, never."""
    keep: str = "auto"
    """Which epoch's weights: ``best``, by validation CER; ``last``; or ``auto``: the last one where corrected
    lines are learnt, since validation lines of older hands cannot see what is learnt of a new one."""
    base_norm: str = "auto"
    """Batch norm of a base's network: ``learnt``, as in any training; ``held`` at the figures it came with; or
    ``auto``: held where corrected lines are learnt."""
    correction_share: float = 0.4
    """Share of every epoch that corrected lines shall make up, by repetition, where there are any."""
    accelerator: str = "auto"
    """Lightning's: auto, cpu, gpu."""
    devices: int = 1
    """Of each machine: GPUs, or on a processor as many processes. Each takes its own batches."""
    machines: int = 1
    """With more than one, start this same command on each with torchrun, or let Kubeflow's trainer do it."""
    precision: str = "auto"
    """``32``, ``bf16``, or ``auto``: bf16 where the processor or GPU computes with it."""
    num_threads: int = 1
    """Processor threads. Two teach about 1.5 times as fast on two idle cores, but several times slower where
    anything else runs, since every step waits for the slower thread; and last digits depend on their number."""
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        bounds = {
            "seed": (0, 2**31),
            "max_lines": (1, math.inf),
            "batch_size": (1, 4096),
            "learning_rate": (1e-9, 1.0),
            "weight_decay": (0.0, 1.0),
            "warmup_share": (0.0, 1.0),
            "clip_norm": (1e-9, math.inf),
            "augmentation": (0.0, 3.0),
            "masking": (0.0, 0.5),
            "joining": (0.0, 1.0),
            "averaging": (0.0, 0.99999),
            "shortcut_weight": (0.0, 100.0),
            "auxiliary_weight": (0.0, 100.0),
            "label_smoothing": (0.0, 0.9),
            "patience": (1, math.inf),
            "correction_share": (0.0, 0.95),
            "devices": (1, 1024),
            "machines": (1, 1024),
            "num_threads": (1, 1024),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, str) or not low <= value <= high:
                raise SettingsError(f"training settings: {name} must be within {low}..{high}, got {value!r}")
        choices = {
            "accelerator": ("auto", "cpu", "gpu"),
            "precision": ("auto", "32", "bf16"),
            "batches_by": ("lines", "pixels"),
            "keep": ("auto", "best", "last"),
            "base_norm": ("auto", "held", "learnt"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"training settings: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
