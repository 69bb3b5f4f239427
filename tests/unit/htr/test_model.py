"""The networks."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from htr.alphabet import Alphabet
from htr.errors import BundleError, SettingsError
from htr.image import Geometry
from htr.model import ENCODERS, MAX_HEIGHT, MIN_HEIGHT, PRESETS, LineNet, ModelConfig, deepened
from htr.train import grown
from tests.conftest import TINY

COLUMN_STEP = TINY.column_step


@pytest.fixture(params=ENCODERS)
def net(request: pytest.FixtureRequest) -> LineNet:
    torch.manual_seed(0)
    return LineNet(replace(TINY, encoder=request.param, residual=(0, 1, 0, 1), layers=2), 5).eval()


def test_a_line_scores_alike_alone_and_padded_in_a_batch(net: LineNet) -> None:
    steps = [3, 17, 30]
    images = torch.rand(3, 1, 16, 30 * COLUMN_STEP)
    for row, n in enumerate(steps):
        images[row, :, :, n * COLUMN_STEP :] = 0
    with torch.no_grad():
        together = net(images, torch.tensor(steps))
        for row, n in enumerate(steps):
            alone = net(images[row : row + 1, :, :, : n * COLUMN_STEP])
            torch.testing.assert_close(together[row, :n], alone[0], atol=1e-5, rtol=1e-5)


def test_what_lies_beyond_a_line_never_reaches_it(net: LineNet) -> None:
    images = torch.rand(1, 1, 16, 40)
    dirty = torch.cat([images, torch.zeros(1, 1, 16, 40)], dim=3)
    with torch.no_grad():
        torch.testing.assert_close(net(dirty, torch.tensor([10]))[:, :10], net(images), atol=1e-5, rtol=1e-5)


def test_scores_are_probabilities(net: LineNet) -> None:
    images, steps = torch.rand(2, 1, 16, 32), torch.tensor([8, 4])
    features, shortcut = net.encode_with_shortcut(images, steps)
    assert torch.equal(net.score(features), net(images, steps))
    for scores in (net.score(features), shortcut):
        assert scores.shape == (2, 8, 5)
        torch.testing.assert_close(scores.exp().sum(2), torch.ones(2, 8))


@pytest.mark.parametrize("preset", ["fast", "attention"])
def test_a_networks_dropout_can_be_chosen_anew_and_its_config_says_so(preset: str) -> None:
    other = LineNet(PRESETS[preset], num_classes=5)
    other.drop(0.5)
    assert other.config == replace(PRESETS[preset], dropout=0.5)
    assert {layer.p for layer in other.modules() if isinstance(layer, nn.Dropout)} == {0.5}
    with pytest.raises(ValueError, match="dropout"):
        other.drop(1.0)


def test_a_grown_network_reads_what_it_read_before(net: LineNet) -> None:
    old, new = Alphabet("abcd"), Alphabet("abcdé")
    larger = grown(net, old, new).eval()
    images = torch.rand(1, 1, 16, 80)
    with torch.no_grad():
        before, after = net(images), larger(images)
    assert after.shape[2] == 6
    assert torch.equal(before.argmax(2), after.argmax(2))


@pytest.mark.parametrize("wanted", [(0, 0, 0, 0), (1, 2, 0, 1)])
def test_a_deepened_network_scores_as_before_until_it_learns(net: LineNet, wanted: tuple[int, ...]) -> None:
    images, steps = torch.rand(2, 1, 16, 80), torch.tensor([20, 7])
    deeper = deepened(net, wanted).eval()
    assert deeper.config.residual == ((1, 2, 0, 1) if any(wanted) else (0, 1, 0, 1))
    with torch.no_grad():
        assert torch.equal(deeper(images, steps), net(images, steps))
    deeper.train()
    deeper(images, steps).square().sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in deeper.parameters())
    scales = [layer[1].weight.grad for block in deeper.blocks for layer in block.residual]
    assert all(bool(scale.any()) for scale in scales)  # the new ones can begin to add something
    with pytest.raises(SettingsError, match=r"model.residual is for 3 blocks, the base has 4"):
        deepened(net, (1, 1, 1))


def test_a_config_survives_json() -> None:
    assert ModelConfig.from_dict(TINY.to_dict()) == TINY


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_reads_lines_and_fits_its_geometry(name: str) -> None:
    config = PRESETS[name]
    net = LineNet(config, 80).eval()
    with torch.no_grad():
        scores = net(torch.rand(1, 1, config.height, 16 * config.column_step))
    assert scores.shape == (1, 16, 80)
    assert sum(p.numel() for p in net.parameters()) < 10e6
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(("width", "heads"), [(8, 1), (64, 1), (192, 3), (200, 2), (224, 2), (256, 4), (211, 1)])
def test_attention_of_any_width_has_heads_that_share_it_evenly(width: int, heads: int) -> None:
    net = LineNet(replace(TINY, encoder="attention", width=width), 5).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 1, 16, 32)).shape == (1, 8, 5)
    assert [layer.heads for layer in net.encoder] == [heads]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_scores_a_line_alike_alone_and_padded(name: str) -> None:
    torch.manual_seed(0)
    net = LineNet(PRESETS[name], 30).eval()
    config, steps = net.config, [5, 16, 9]
    images = torch.rand(3, 1, config.height, 16 * config.column_step)
    for row, n in enumerate(steps):
        images[row, :, :, n * config.column_step :] = 0
    with torch.no_grad():
        together = net(images, torch.tensor(steps))
        for row, n in enumerate(steps):
            alone = net(images[row : row + 1, :, :, : n * config.column_step])
            torch.testing.assert_close(together[row, :n], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("height", [MIN_HEIGHT, MAX_HEIGHT])
def test_a_network_of_the_least_and_the_greatest_height_has_a_geometry(height: int) -> None:
    assert Geometry(height=ModelConfig(height=height).height).height == height
    with pytest.raises(ValueError, match="height"):
        ModelConfig(height=height + (8 if height == MAX_HEIGHT else -8))


@pytest.mark.parametrize(
    "change",
    [{"height": 15}, {"encoder": "other"}, {"surprise": 1}, {"strides": [[2, 2]]}, {"width": 0}, {"dropout": 1}],
)
def test_an_impossible_config_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="architecture config"):
        ModelConfig.from_dict({**TINY.to_dict(), **change})
