"""What the networks are made of. Every layer keeps padding away from real time steps.

Shapes: B lines, C channels, H and W pixels or features, T time steps, D features a step.

A line's scores must not depend on what else is in its batch. Features beyond a line's own width are set to zero
after every convolution, recurrent layers turn each line round at its own last step, and attention does not look
past it.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Strided convolution, batch norm, ReLU, residual convolutions; zeros beyond each line's width throughout.

    Striding instead of pooling: on a processor, pooling alone took an eighth of a training step.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: height and width.
        residual: 3 x 3 convolutions that add to what they are given (He et al. 2016, "Deep residual learning").
    """

    def __init__(self, inputs: int, outputs: int, *, stride: tuple[int, int], residual: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = nn.ModuleList(
            nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
            for _ in range(residual)
        )
        self.width_stride = stride[1]

    def forward(  # noqa: D102 - the class says it
        self, features_BCHW: Tensor, mask_B11W: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        features_BCHW = torch.relu(self.norm(self.conv(features_BCHW)))
        if mask_B11W is not None:
            mask_B11W = mask_B11W[..., :: self.width_stride]
            features_BCHW = features_BCHW * mask_B11W
        for layer in self.residual:
            features_BCHW = torch.relu(features_BCHW + layer(features_BCHW))
            if mask_B11W is not None:
                features_BCHW = features_BCHW * mask_B11W
        return features_BCHW, mask_B11W


class Recurrent(nn.Module):
    """Two LSTMs or GRUs, the second over each line's own steps from its last to its first."""

    def __init__(self, kind: str, inputs: int, width: int) -> None:
        super().__init__()
        layer = nn.LSTM if kind == "lstm" else nn.GRU
        self.forwards = layer(inputs, width, batch_first=True)
        self.backwards = layer(inputs, width, batch_first=True)

    def forward(self, features_BTD: Tensor, steps_B: Tensor | None) -> Tensor:  # noqa: D102 - the class says it
        turn_BT1 = None if steps_B is None else reversal(steps_B, features_BTD.shape[1])
        ahead, _ = self.forwards(features_BTD)
        back, _ = self.backwards(_turned(features_BTD, turn_BT1))
        return torch.cat([ahead, _turned(back, turn_BT1)], dim=2)


class Attention(nn.Module):
    """A transformer layer, pre-norm, whose positions come from a depthwise convolution over the steps.

    Vaswani et al. 2017, "Attention is all you need"; the convolution in place of positions as in Chu et al. 2021,
    "Conditional positional encodings": it works at any width.

    Args:
        width: D; each head takes 64 features of it, or the next larger number that divides it.
        dropout: share of features dropped in training, 0..1.
    """

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        # Bundles keep weights, not heads: a width must always come to the same number.
        self.heads = next(heads for heads in range(max(1, width // 64), 0, -1) if width % heads == 0)
        self.positions = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, features_BTD: Tensor, steps_B: Tensor | None) -> Tensor:  # noqa: D102 - the class says it
        blocked_B11T, mask_BT1 = None, None
        if steps_B is not None:
            inside_BT = torch.arange(features_BTD.shape[1], device=steps_B.device) < steps_B[:, None]
            blocked_B11T, mask_BT1 = ~inside_BT[:, None, None, :], inside_BT[:, :, None].to(features_BTD.dtype)
            features_BTD = features_BTD * mask_BT1
        features_BTD = features_BTD + self.positions(features_BTD.transpose(1, 2)).transpose(1, 2)
        features_BTD = features_BTD + self.dropout(self._attend(self.attention_norm(features_BTD), blocked_B11T))
        features_BTD = features_BTD + self.dropout(self.feed(self.feed_norm(features_BTD)))
        return features_BTD if mask_BT1 is None else features_BTD * mask_BT1

    def _attend(self, features_BTD: Tensor, blocked_B11T: Tensor | None) -> Tensor:
        batch, steps, width = features_BTD.shape
        split = self.queries_keys_values(features_BTD).view(batch, steps, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        scores_BNTT = queries @ keys.transpose(2, 3) / math.sqrt(width // self.heads)
        if blocked_B11T is not None:
            scores_BNTT = scores_BNTT.masked_fill(blocked_B11T, -math.inf)
        mixed = (scores_BNTT.softmax(dim=3) @ values).transpose(1, 2).reshape(batch, steps, width)
        return cast(Tensor, self.mix(mixed))


def reversal(steps_B: Tensor, num_steps: int) -> Tensor:
    """Return for every step the one that takes its place when its line is turned round; shape (B, T, 1)."""
    steps_T = torch.arange(num_steps, device=steps_B.device)
    turned_BT = steps_B[:, None] - 1 - steps_T
    return torch.where(turned_BT >= 0, turned_BT, steps_T)[:, :, None]


def _turned(features_BTD: Tensor, turn_BT1: Tensor | None) -> Tensor:
    if turn_BT1 is None:
        return features_BTD.flip(1)
    return features_BTD.gather(1, turn_BT1.expand_as(features_BTD))
