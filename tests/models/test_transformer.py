"""The Transformer encoder against torch's own layer and the formula of the positions."""

import math

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.layers import frame_mask
from voxid.models.speaker.transformer import SelfAttention, Transformer, sinusoids


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def shaken(net, seed=0):
    """Weights of every size: those of a fresh net have no bias, and norms that do nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return net


@pytest.mark.parametrize("num_heads", [1, 2, 4])
@pytest.mark.parametrize("num_frames", [1, 2, 33])
def test_layers_are_those_of_torch(num_heads, num_frames):
    torch.manual_seed(0)
    theirs = shaken(torch.nn.TransformerEncoderLayer(16, num_heads, 24, dropout=0.0, batch_first=True))
    ours = Transformer(16, None, num_heads, 24, 2, dropout=0.0)
    for layer in ours.layers:
        layer.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 16, num_frames)
    lengths = torch.tensor([num_frames, (num_frames + 1) // 2, 1])
    mask = frame_mask(lengths, num_frames)
    expected = x.transpose(1, 2)  # in training mode: in eval mode torch takes another road
    for _ in range(2):
        expected = theirs(expected, src_key_padding_mask=~mask[:, 0])
    ours_frames = ours(x, mask).transpose(1, 2)
    for item, length in enumerate(lengths):
        torch.testing.assert_close(ours_frames[item, :length], expected[item, :length], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
def test_padding_changes_nothing(positions):
    net = shaken(Transformer(40, 24, 2, 32, 3, positions=positions)).eval()
    lengths = torch.tensor([50, 1, 17])
    x = torch.randn(3, 40, 50)
    x[1, :, 1:], x[2, :, 17:] = 100.0, -100.0
    with torch.no_grad():
        together = net(x, frame_mask(lengths, 50))
        for item, length in enumerate(lengths):
            alone = net(x[item : item + 1, :, :length])[0]
            torch.testing.assert_close(together[item, :, :length], alone, atol=1e-5, rtol=0)


def test_sinusoids_follow_the_formula():
    for num_frames, width in ((1, 1), (9, 5), (40, 8)):
        table = sinusoids(num_frames, width)
        assert table.shape == (num_frames, width)
        for frame in range(num_frames):
            for column in range(width):
                angle = frame / 10000 ** (column // 2 * 2 / width)
                expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
                assert table[frame, column].item() == pytest.approx(expected, abs=1e-6)


def test_only_positions_tell_the_order():
    x, order = torch.randn(1, 8, 20), torch.randperm(20, generator=torch.Generator().manual_seed(1))
    for positions, same in (("none", True), ("sinusoidal", False)):
        net = shaken(Transformer(8, 8, 2, 8, 2, positions=positions)).eval()
        assert torch.allclose(net(x)[:, :, order], net(x[:, :, order]), atol=1e-5) is same


def test_attention_never_holds_a_number_for_each_pair_of_frames():
    frames = 4096
    x, mask = torch.randn(2, frames, 16), frame_mask(torch.tensor([frames, 100]), frames)
    net = SelfAttention(16, 2).eval()
    with torch.no_grad(), torch.autograd.profiler.profile(profile_memory=True) as watched:
        net(x, mask)
    largest = max(event.cpu_memory_usage for event in watched.function_events)
    assert 0 < largest < 4 * frames * frames / 8  # bytes; one head of one item would take 4 * frames * frames


def test_dropout_acts_in_training_only():
    net, x = Transformer(8, 8, 2, 8, 1, dropout=0.5), torch.randn(2, 8, 30)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_parameters_of_the_ladder():
    """The sample code of HW4: Linear 40 -> 80, one layer, Linear 80 -> 80, Linear 80 -> 600: 125,896 parameters. Its medium
    rung: d = 224 and three layers (952,992 in them), BatchNorm and Linear 224 -> 600: 1,097,624."""
    first = Transformer(40)
    assert count(first) == 70_816
    assert count(first) + (80 * 80 + 80) + (80 * 600 + 600) == 125_896
    third = Transformer(40, 224, 2, 256, 3, 0.2)
    assert count(third.layers) == 952_992
    assert count(third) + 2 * 224 + (224 * 600 + 600) == 1_097_624


@pytest.mark.parametrize("bad", [{"num_heads": 3}, {"num_heads": 0}, {"num_layers": 0}, {"positions": "rotary"}])
def test_wrong_arguments_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        registry.build("backbone", {"name": "transformer", "input_dim": 40} | bad)
