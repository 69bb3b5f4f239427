"""The networks: line tensors in, class scores out. Convolutions, recurrent or attention layers, one linear layer.

Shapes: B lines, H and W pixels, C channels, T = W / column step time steps, D features a step, K classes (class 0
is the CTC blank).

PRESETS names the shapes that were measured (docs/experiments.md); any other ModelConfig works as well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from htr.errors import BundleError, SettingsError
from htr.layers import Attention, ConvBlock, Recurrent

ENCODERS = ("lstm", "gru", "attention")
MIN_HEIGHT, MAX_HEIGHT = 16, 512
"""Pixels; within what `htr.image.Geometry` takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a network; kept in the bundle."""

    height: int = 40
    """Pixels, 16..512; a multiple of the product of the vertical strides."""
    channels: tuple[int, ...] = (24, 48, 96, 96)
    """Output channels of each convolution block."""
    strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 1), (1, 1))
    """Height and width stride of each block, 1 or more; the product of the width strides is the column step."""
    residual: tuple[int, ...] = (0, 0, 0, 0)
    """Residual convolutions in each block; to a base's network those are added that it has not got."""
    encoder: str = "lstm"
    """What reads along the line: one of ENCODERS."""
    squeeze: int = 256
    """Features a column is reduced to before the encoder."""
    width: int = 160
    """Hidden units of the encoder: in each direction, or for attention in all."""
    layers: int = 1
    """Layers of the encoder."""
    dropout: float = 0.1
    """Share of features dropped before and after the encoder's layers in training, 0..1. It alone is not the
    network's shape: what a training is told holds for a base's network, too."""

    def __post_init__(self) -> None:
        if not 0 < len(self.channels) == len(self.strides) == len(self.residual):
            raise ValueError("ModelConfig: channels, strides and residual must be equally long")
        if self.encoder not in ENCODERS:
            raise ValueError(f"ModelConfig.encoder must be one of {ENCODERS}, got {self.encoder!r}")
        if any(len(stride) != 2 or min(stride) < 1 for stride in self.strides):
            raise ValueError(f"ModelConfig.strides must be pairs of numbers from 1 on, got {self.strides}")
        if self.height % self._height_step or not MIN_HEIGHT <= self.height <= MAX_HEIGHT:
            raise ValueError(
                f"ModelConfig.height must be a multiple of {self._height_step} within {MIN_HEIGHT}..{MAX_HEIGHT}, "
                f"got {self.height}"
            )
        sizes = min(*self.channels, self.squeeze, self.width, self.layers)
        if sizes < 1 or min(self.residual) < 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"ModelConfig: a size below 1, residual below 0, or dropout outside 0..1: {self}")

    @property
    def _height_step(self) -> int:
        return math.prod(height for height, _ in self.strides)

    @property
    def column_step(self) -> int:
        """Pixels of width that share one time step."""
        return math.prod(width for _, width in self.strides)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Rebuild a config that was written as JSON.

        Raises:
            BundleError: a field is unknown or has an impossible value.
        """
        try:
            listed = {name: tuple(values[name]) for name in ("channels", "residual")}
            strides = tuple((int(height), int(width)) for height, width in values["strides"])
            return cls(**{**values, **listed, "strides": strides})
        except (TypeError, KeyError, ValueError) as error:
            raise BundleError(
                f"architecture config is not one of ours ({error}); use the matching release"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        lists = {name: list(getattr(self, name)) for name in ("channels", "residual")}
        return {**asdict(self), **lists, "strides": [list(stride) for stride in self.strides]}


PRESETS = {
    "fast": ModelConfig(),
    "strong": ModelConfig(
        height=64,
        channels=(32, 64, 128, 192),
        strides=((2, 2), (2, 2), (2, 1), (2, 1)),
        residual=(1, 2, 2, 2),
        squeeze=384,
        width=256,
        layers=3,
    ),
    "gru": ModelConfig(
        height=48,
        channels=(32, 64, 128, 128),
        strides=((2, 2), (2, 2), (2, 1), (2, 1)),
        encoder="gru",
        width=192,
        layers=2,
    ),
    "attention": ModelConfig(
        height=48,
        channels=(32, 64, 128, 128),
        strides=((2, 2), (2, 2), (2, 1), (2, 1)),
        residual=(0, 1, 1, 1),
        encoder="attention",
        squeeze=192,
        width=192,
        layers=4,
    ),
}
"""Shapes by name: ``fast`` for processors, ``strong`` for graphics cards, ``gru`` and ``attention`` to compare."""


class LineNet(nn.Module):
    """Line tensors to class scores.

    Args:
        config: the shape of the network.
        num_classes: K, the blank included.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        inputs = (1, *config.channels[:-1])
        shapes = zip(inputs, config.channels, config.strides, config.residual, strict=True)
        self.blocks = nn.ModuleList(ConvBlock(i, o, stride=s, residual=r) for i, o, s, r in shapes)
        self.dropout = nn.Dropout(config.dropout)
        rows = config.height // math.prod(height for height, _ in config.strides)
        self.squeeze = nn.Linear(config.channels[-1] * rows, config.squeeze)
        self.encoder = nn.ModuleList()
        features = config.squeeze
        if config.encoder == "attention":
            self.widen = nn.Linear(config.squeeze, config.width)
            features = config.width
            self.encoder.extend(Attention(config.width, dropout=config.dropout) for _ in range(config.layers))
        else:
            for _ in range(config.layers):
                self.encoder.append(Recurrent(config.encoder, features, config.width))
                features = 2 * config.width
        self.head = nn.Linear(features, num_classes)
        self.shortcut = nn.Linear(config.squeeze, num_classes)
        for weights in self.parameters():
            if weights.dim() == 4:  # convolutions run about a quarter faster with channels last on a CPU
                weights.data = weights.data.contiguous(memory_format=torch.channels_last)

    def forward(self, images_B1HW: Tensor, steps_B: Tensor | None = None) -> Tensor:
        """Return log-probabilities, shape (B, T, K).

        Args:
            images_B1HW: 0 paper, 1 ink; W a multiple of the column step.
            steps_B: time steps that belong to each line; None when no line is padded.
        """
        return self.score(self.encode(images_B1HW, steps_B))

    def encode(self, images_B1HW: Tensor, steps_B: Tensor | None = None) -> Tensor:
        """Return the features that the scores are made of, shape (B, T, D); see `forward`."""
        return self._encode(self._see(images_B1HW, steps_B), steps_B)

    def score(self, features_BTD: Tensor) -> Tensor:
        """Return the log-probabilities of what `encode` returned, shape (B, T, K)."""
        return torch.log_softmax(self.head(features_BTD).float(), dim=2)

    def encode_with_shortcut(self, images_B1HW: Tensor, steps_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return features as `encode` does, and the log-probabilities of a head that skips the encoder.

        The shortcut is for training only: through it the convolutions learn letters before the encoder is of
        any use (Retsinas et al. 2022, "Best practices for a handwritten text recognition system", section 3.3).
        """
        features_BTD = self._see(images_B1HW, steps_B)
        shortcut_BTK = torch.log_softmax(self.shortcut(features_BTD).float(), dim=2)
        return self._encode(features_BTD, steps_B), shortcut_BTK

    def drop(self, share: float) -> None:
        """From now on drop this share of features in training, and note it in the config.

        Raises:
            ValueError: it is outside 0..1.
        """
        self.config = replace(self.config, dropout=share)
        for layer in self.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = share

    def hold_norms(self, residual: Sequence[int]) -> None:
        """Have batch norm use the figures that it has, and keep them, while all else is trained.

        Args:
            residual: residual convolutions of each block that have figures; those behind them learn theirs.
        """
        for block, known in zip(self.blocks, residual, strict=True):
            assert isinstance(block, ConvBlock)  # noqa: S101 - tells the type checker
            block.norm.eval()
            for layer in list(block.residual)[:known]:
                layer.eval()

    def _see(self, images_B1HW: Tensor, steps_B: Tensor | None) -> Tensor:
        mask = None
        if steps_B is not None:
            columns_W = torch.arange(images_B1HW.shape[3], device=images_B1HW.device)
            inside_BW = columns_W < (steps_B * self.config.column_step)[:, None]
            mask = inside_BW.to(images_B1HW.dtype)[:, None, None, :]
        features = images_B1HW
        for block in self.blocks:
            features, mask = block(features, mask)
        features_BTD = features.flatten(1, 2).transpose(1, 2)
        return self.dropout(torch.relu(self.squeeze(features_BTD)))  # type: ignore[no-any-return]

    def _encode(self, features_BTD: Tensor, steps_B: Tensor | None) -> Tensor:
        if self.config.encoder == "attention":
            features_BTD = self.widen(features_BTD)
        for layer in self.encoder:
            features_BTD = self.dropout(layer(features_BTD, steps_B))
        return features_BTD


def deepened(net: LineNet, residual: Sequence[int]) -> LineNet:
    """Return the network with at least so many residual convolutions in each block, and the same scores as before.

    The new ones begin by adding nothing: the scale of their last layer is zero (Goyal et al. 2017, "Accurate,
    large minibatch SGD", section 5.1).

    Raises:
        SettingsError: the network has another number of blocks.
    """
    if not any(residual):
        return net
    before = net.config.residual
    if len(residual) != len(before):
        raise SettingsError(
            f"training settings: model.residual is for {len(residual)} blocks, the base has {len(before)}"
        )
    config = replace(net.config, residual=tuple(max(pair) for pair in zip(before, residual, strict=True)))
    deeper = LineNet(config, net.num_classes)
    deeper.load_state_dict(net.state_dict(), strict=False)
    for block, known in zip(deeper.blocks, before, strict=True):
        assert isinstance(block, ConvBlock)  # noqa: S101 - tells the type checker
        for layer in list(block.residual)[known:]:
            nn.init.zeros_(cast(nn.Sequential, layer)[1].weight)  # type: ignore[arg-type]
    return deeper
