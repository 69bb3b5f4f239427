"""The decoder that teaches the encoder."""

import pytest
import torch

from htr.auxiliary import IGNORED, AuxiliaryDecoder, spelt

TARGETS, LENGTHS = torch.tensor([3, 1, 2, 2]), torch.tensor([3, 0, 1])
STEPS = torch.tensor([9, 4, 5])


@pytest.fixture
def decoder() -> AuxiliaryDecoder:
    torch.manual_seed(0)
    return AuxiliaryDecoder(6, 5, width=8)


def test_a_line_is_told_from_its_beginning_and_said_to_its_end() -> None:
    told, wanted = spelt(TARGETS, LENGTHS)
    assert [row[: n + 1] for row, n in zip(told.tolist(), LENGTHS, strict=True)] == [[0, 3, 1, 2], [0], [0, 2]]
    none = IGNORED
    assert wanted.tolist() == [[3, 1, 2, 0], [0, none, none, none], [2, 0, none, none]]


def test_neither_padding_nor_neighbours_change_what_a_line_costs(decoder: AuxiliaryDecoder) -> None:
    features = torch.rand(3, 9, 6)
    spoilt = features.clone()
    for row, steps in enumerate(STEPS.tolist()):
        spoilt[row, steps:] = 100.0
    told, _ = spelt(TARGETS, LENGTHS)
    together = decoder(spoilt, STEPS, told, LENGTHS)
    for row, (steps, length) in enumerate(zip(STEPS.tolist(), LENGTHS.tolist(), strict=True)):
        one = slice(row, row + 1)
        alone = decoder(features[one, :steps], STEPS[one], told[one, : length + 1], LENGTHS[one])
        torch.testing.assert_close(together[one, : length + 1], alone)


def test_no_letter_is_guessed_from_itself_or_from_those_behind_it(decoder: AuxiliaryDecoder) -> None:
    features, told = torch.rand(1, 9, 6), torch.tensor([[0, 3, 1, 2]])
    other = torch.tensor([[0, 3, 4, 4]])
    before, after = (decoder(features, STEPS[:1], letters, LENGTHS[:1]) for letters in (told, other))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[:, 2:], after[:, 2:])


def test_it_learns_to_spell_what_the_features_say(decoder: AuxiliaryDecoder) -> None:
    classes = torch.tensor([[1, 1, 3, 3, 2, 2, 4, 4], [4, 4, 4, 3, 3, 3, 1, 1]])
    features = torch.nn.functional.one_hot(classes, 6).float()
    steps, targets, lengths = torch.tensor([8, 8]), torch.tensor([1, 3, 2, 4, 4, 3, 1]), torch.tensor([4, 3])
    optimizer = torch.optim.Adam(decoder.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = decoder.loss(features, steps, targets, lengths, smoothing=0.0)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 < losses[0]
    sure = decoder.loss(features, steps, targets, lengths, smoothing=0.1)
    assert float(sure.detach()) > losses[-1] + 0.1  # being sure costs, where labels are smoothed
