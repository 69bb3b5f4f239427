"""The network: line tensors in, class scores out. Convolutions, bidirectional LSTMs, one linear layer.

Shapes: B lines, H and W pixels, C channels, T = W / COLUMN_STEP time steps, K classes (class 0 is the CTC blank).

A line's scores must not depend on what else is in its batch. Every width is a multiple of COLUMN_STEP, features
beyond a line's own width are set to zero after every convolution, and the backward LSTM starts at the line's own
last step; so padding never reaches a real step.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from htr.errors import BundleError

COLUMN_STEP = 4
"""Pixels of width that share one time step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of the network; kept in the bundle."""

    architecture: str = "crnn"
    """Name of the layout below; the only one so far."""
    height: int = 32
    """Pixels; a multiple of 8."""
    channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    """Output channels of the four convolutions."""
    lstm_width: int = 128
    """Hidden units in each direction."""
    lstm_layers: int = 1
    dropout: float = 0.1
    """Share of features dropped before and between the LSTMs in training, 0..1."""

    def __post_init__(self) -> None:
        if self.architecture != "crnn":
            raise ValueError(f"unknown architecture {self.architecture!r}; known: 'crnn'")
        if self.height % 8 or self.height < 16:
            raise ValueError(f"ModelConfig.height must be a multiple of 8 and at least 16, got {self.height}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Rebuild a config that was written as JSON.

        Raises:
            BundleError: a field is unknown or has an impossible value.
        """
        try:
            return cls(**{**values, "channels": tuple(values["channels"])})
        except (TypeError, KeyError, ValueError) as error:
            raise BundleError(
                f"architecture config is not one of ours ({error}); use the matching release"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "channels": list(self.channels)}


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU, pooling; then zeros beyond each line's width."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = nn.MaxPool2d(pool)
        self.width_step = pool[1]

    def forward(  # noqa: D102 - the class says it
        self, features_BCHW: Tensor, mask_B11W: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        features_BCHW = self.pool(torch.relu(self.norm(self.conv(features_BCHW))))
        if mask_B11W is not None:
            mask_B11W = mask_B11W[..., :: self.width_step]
            features_BCHW = features_BCHW * mask_B11W
        return features_BCHW, mask_B11W


class BiLstm(nn.Module):
    """Two LSTMs, the second over each line's own steps from its last to its first."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(inputs, width, batch_first=True)
        self.backwards = nn.LSTM(inputs, width, batch_first=True)

    def forward(self, features_BTC: Tensor, reversal_BT1: Tensor | None) -> Tensor:  # noqa: D102 - see the class
        ahead, _ = self.forwards(features_BTC)
        back, _ = self.backwards(_reversed(features_BTC, reversal_BT1))
        return torch.cat([ahead, _reversed(back, reversal_BT1)], dim=2)


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
        one, two, three, four = config.channels
        self.blocks = nn.ModuleList(
            [
                ConvBlock(1, one, kernel=3, pool=(2, 2)),
                ConvBlock(one, two, kernel=3, pool=(2, 2)),
                ConvBlock(two, three, kernel=3, pool=(2, 1)),
                ConvBlock(three, four, kernel=3, pool=(1, 1)),
            ]
        )
        self.dropout = nn.Dropout(config.dropout)
        inputs = four * (config.height // 8)
        self.squeeze = nn.Linear(inputs, 2 * config.lstm_width)
        self.lstms = nn.ModuleList(
            [BiLstm(2 * config.lstm_width, config.lstm_width) for _ in range(config.lstm_layers)]
        )
        self.head = nn.Linear(2 * config.lstm_width, num_classes)
        self.shortcut = nn.Linear(2 * config.lstm_width, num_classes)
        for weights in self.parameters():
            if weights.dim() == 4:  # convolutions run about a quarter faster with channels last on a CPU
                weights.data = weights.data.contiguous(memory_format=torch.channels_last)

    def forward(self, images_B1HW: Tensor, steps_B: Tensor | None = None) -> Tensor:
        """Return log-probabilities, shape (B, T, K).

        Args:
            images_B1HW: 0 paper, 1 ink; W a multiple of COLUMN_STEP.
            steps_B: time steps that belong to each line; None when no line is padded.
        """
        return self._read(*self._see(images_B1HW, steps_B))

    def forward_with_shortcut(self, images_B1HW: Tensor, steps_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities as `forward` does, and those of a head that skips the LSTMs.

        The shortcut is for training only: through it the convolutions learn letters before the LSTMs are of
        any use (Retsinas et al. 2022, "Best practices for a handwritten text recognition system", section 3.3).
        """
        features_BTC, reversal = self._see(images_B1HW, steps_B)
        shortcut_BTK = torch.log_softmax(self.shortcut(self.dropout(features_BTC)), dim=2)
        return self._read(features_BTC, reversal), shortcut_BTK

    def _see(self, images_B1HW: Tensor, steps_B: Tensor | None) -> tuple[Tensor, Tensor | None]:
        mask, reversal = None, None
        if steps_B is not None:
            columns_W = torch.arange(images_B1HW.shape[3], device=images_B1HW.device)
            mask = (columns_W < (steps_B * COLUMN_STEP)[:, None]).to(images_B1HW.dtype)[:, None, None, :]
            reversal = _reversal(steps_B, images_B1HW.shape[3] // COLUMN_STEP)
        features = images_B1HW
        for block in self.blocks:
            features, mask = block(features, mask)
        features_BTC = features.flatten(1, 2).transpose(1, 2)
        return torch.relu(self.squeeze(self.dropout(features_BTC))), reversal

    def _read(self, features_BTC: Tensor, reversal: Tensor | None) -> Tensor:
        for lstm in self.lstms:
            features_BTC = self.dropout(lstm(features_BTC, reversal))
        return torch.log_softmax(self.head(features_BTC), dim=2)


def _reversal(steps_B: Tensor, num_steps: int) -> Tensor:
    """Return for every step of every line the step that takes its place when the line is turned round."""
    steps_T = torch.arange(num_steps, device=steps_B.device)
    turned_BT = steps_B[:, None] - 1 - steps_T
    return torch.where(turned_BT >= 0, turned_BT, steps_T)[:, :, None]


def _reversed(features_BTC: Tensor, reversal_BT1: Tensor | None) -> Tensor:
    if reversal_BT1 is None:
        return features_BTC.flip(1)
    return features_BTC.gather(1, reversal_BT1.expand_as(features_BTC))
