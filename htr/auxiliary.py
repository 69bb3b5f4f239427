"""A decoder that exists in training only: it spells the line from the encoder's features, letter by letter.

Shapes: B lines, T time steps, D features a step, N letters of the longest line and the end behind them, K classes.

CTC takes the letters of a line for independent of each other; a decoder that is told the letters before, as in
Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", asks the encoder for
features that tell what comes next. Its loss is added to CTC's; no bundle holds it, nothing that reads knows of it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from htr.alphabet import BLANK

IGNORED = -100
"""Of a target: none, the line has ended before."""


class AuxiliaryDecoder(nn.Module):
    """A GRU over the letters so far, which at each of them looks at the encoder's features once.

    The next letter is looked for near its share of the line, as if all letters were equally wide; how near is
    learnt. Without that hint it would have to find out first that lines are written from one end to the other.

    Args:
        features: D.
        num_classes: K; class 0, CTC's blank, stands for a line's beginning and its end.
        width: of its own layers.
    """

    def __init__(self, features: int, num_classes: int, *, width: int = 128) -> None:
        super().__init__()
        self.letters = nn.Embedding(num_classes, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.queries = nn.Linear(width, width)
        self.keys = nn.Linear(features, width)
        self.values = nn.Linear(features, width)
        self.nearness = nn.Parameter(torch.tensor(4.0))
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, features_BTD: Tensor, steps_B: Tensor, told_BN: Tensor, lengths_B: Tensor) -> Tensor:
        """Return the scores of each next letter, before any softmax; shape (B, N, K).

        Args:
            features_BTD: what the encoder saw.
            steps_B: time steps that belong to each line.
            told_BN: class ids of a line's beginning and its letters.
            lengths_B: letters of each line.
        """
        memory_BNW, _ = self.memory(self.letters(told_BN))
        keys_BTW, values_BTW = self.keys(features_BTD), self.values(features_BTD)
        scores_BNT = self.queries(memory_BNW) @ keys_BTW.transpose(1, 2) / math.sqrt(keys_BTW.shape[2])
        steps_T = torch.arange(features_BTD.shape[1], device=steps_B.device)
        letters_N = torch.arange(told_BN.shape[1], device=steps_B.device)
        at_BT = (steps_T + 0.5) / steps_B[:, None]
        expected_BN = (letters_N + 0.5) / (lengths_B[:, None] + 1)
        far_BNT = (at_BT[:, None, :] - expected_BN[:, :, None]).square() * steps_B[:, None, None]
        scores_BNT = scores_BNT.float() - softplus(self.nearness.float()) * far_BNT
        outside_BT = steps_T >= steps_B[:, None]
        looked_BNT = scores_BNT.masked_fill(outside_BT[:, None, :], -math.inf).softmax(dim=2)
        seen_BNW = looked_BNT.to(values_BTW.dtype) @ values_BTW
        scores_BNK: Tensor = self.head(torch.cat([memory_BNW, seen_BNW], dim=2))
        return scores_BNK

    def loss(
        self, features_BTD: Tensor, steps_B: Tensor, targets: Tensor, lengths_B: Tensor, *, smoothing: float
    ) -> Tensor:
        """Return the cross entropy a letter, the line's end counted as one.

        Args:
            features_BTD: what the encoder saw.
            steps_B: time steps that belong to each line.
            targets: class ids of all lines, one line behind the other.
            lengths_B: letters of each line.
            smoothing: share of the target's probability that is spread over all classes (Szegedy et al. 2016,
                "Rethinking the Inception architecture for computer vision", section 7), 0..1.
        """
        told_BN, wanted_BN = spelt(targets, lengths_B)
        scores_BNK = self(features_BTD, steps_B, told_BN, lengths_B)
        return cross_entropy(
            scores_BNK.flatten(0, 1).float(), wanted_BN.flatten(), ignore_index=IGNORED, label_smoothing=smoothing
        )


def spelt(targets: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a decoder is told at each letter, and what it shall say; shapes (B, N).

    Args:
        targets: class ids of all lines, one line behind the other.
        lengths_B: letters of each line.
    """
    size = (len(lengths_B), int(lengths_B.max()) + 1)
    places_N = torch.arange(size[1], device=targets.device)
    told_BN = torch.full(size, BLANK, device=targets.device)
    wanted_BN = torch.full(size, IGNORED, device=targets.device)
    wanted_BN[places_N == lengths_B[:, None]] = BLANK
    wanted_BN[places_N < lengths_B[:, None]] = targets
    told_BN[:, 1:][places_N[:-1] < lengths_B[:, None]] = targets
    return told_BN, wanted_BN
