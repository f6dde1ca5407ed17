"""Res2Net against a plain reading of its layout, and against the counts of the reference nets."""

import pytest
import torch
from torch.nn import functional as F

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.layers import frame_mask

VARIANTS = {
    "base": {"channels": 4},
    "three scales": {"channels": 4, "scale": 3},
    "wide groups": {"channels": 2, "scale": 4, "base_width": 96},
}


def build(spec, input_dim=80, seed=0):
    """A net in double precision: its norms drive the clipped ReLU beyond its upper end, which lets float32 wander."""
    torch.manual_seed(seed)
    net = registry.build("backbone", {"name": "res2net"} | spec, input_dim=input_dim)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.3, 1.5)
            torch.nn.init.uniform_(module.weight, 1, 4)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return net.eval().double()


def reference(weights, features, *, scale=2, **_):
    """Frames [C F', N'] of one recording's features [F, N] from a state dict, in double precision and without masks."""
    w = {name: value.double() for name, value in weights.items()}

    def conv(name, x, stride=1):
        """One tap at a time; stride acts on both axes."""
        kernel = w[name + ".weight"]
        padded = F.pad(x, (kernel.shape[2] // 2,) * 4)
        height, length = ((size + stride - 1) // stride for size in x.shape[1:])
        taps = [
            torch.einsum("oi,ifn->ofn", kernel[:, :, row, column], padded[:, row::stride, column::stride][:, :height, :length])
            for row in range(kernel.shape[2])
            for column in range(kernel.shape[3])
        ]
        return sum(taps)

    def norm(name, x):
        mean, variance, gain, shift = (
            w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5) ** 0.5 * gain + shift

    def clip(x):
        return x.clamp(0, 20)

    def block(name, x, stride):
        y = clip(norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride)))
        width = y.shape[0] // scale
        groups = [y[width * g : width * (g + 1)] for g in range(scale)]
        done = [clip(norm(f"{name}.bns.0", conv(f"{name}.convs.0", groups[0])))]
        for g in range(1, scale - 1):
            done.append(clip(norm(f"{name}.bns.{g}", conv(f"{name}.convs.{g}", groups[g] + done[g - 1]))))
        y = norm(f"{name}.bn3", conv(f"{name}.conv3", torch.cat([*done, groups[-1]])))
        if f"{name}.shortcut.0.weight" in w:
            x = norm(f"{name}.shortcut.1", conv(f"{name}.shortcut.0", x, stride))
        return clip(y + x)

    x = F.relu(norm("bn1", conv("conv1", features.double()[None])))
    for stage, count in enumerate((3, 4, 6, 3)):
        for place in range(count):
            x = block(f"layer{stage + 1}.{place}", x, 2 if stage and not place else 1)
    return x.reshape(-1, x.shape[2])


@pytest.mark.parametrize("num_frames", [1, 6, 57])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_weights_give_the_same_frames(variant, num_frames):
    spec = VARIANTS[variant]
    net = build(spec, input_dim=20)
    features = 5 * torch.randn(2, 20, num_frames, dtype=torch.float64)
    with torch.no_grad():
        ours = net(features)
    assert ours.max() == 20
    for item in range(2):
        expected = reference(net.state_dict(), features[item], **spec)
        torch.testing.assert_close(ours[item], expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_item_gives_the_frames_that_it_gets_alone(variant):
    spec = VARIANTS[variant]
    net = build(spec, input_dim=20)
    features, lengths = torch.randn(4, 20, 45, dtype=torch.float64), torch.tensor([45, 30, 9, 1])
    with torch.no_grad():
        ours = net(features, frame_mask(lengths, 45))
    for item, (length, left) in enumerate(zip(lengths, net.num_frames(lengths), strict=True)):
        expected = reference(net.state_dict(), features[item, :, :length], **spec)
        assert expected.shape[1] == left
        torch.testing.assert_close(ours[item, :, :left], expected)


@pytest.mark.parametrize("input_dim", [1, 7, 81])
def test_any_number_of_bins_and_frames(input_dim):
    net = registry.build("backbone", {"name": "res2net", "channels": 2, "depth": 18}, input_dim=input_dim).eval()
    with torch.no_grad():
        for num_frames in (1, 2, 8, 9, 17):
            frames = net(torch.randn(1, input_dim, num_frames))
            assert frames.shape == (1, net.output_dim, int(net.num_frames(torch.tensor(num_frames))))


@pytest.mark.parametrize(
    ("channels", "embedding_dim", "count"), [(32, 256, 4_689_024), (64, 256, 13_481_472), (32, 192, 4_033_600)]
)
def test_parameters_of_res2net34(channels, embedding_dim, count):
    """wespeaker's Res2Net34_Base and _Large (D = 256) and 3D-Speaker's Res2Net (D = 192) with 80 bins have these many: ours, and
    their linear layer behind TSTP."""
    with torch.device("meta"):
        net = registry.build("backbone", {"name": "res2net", "channels": channels}, input_dim=80)
    projection = 2 * net.output_dim * embedding_dim + embedding_dim
    assert sum(parameter.numel() for parameter in net.parameters()) + projection == count


@pytest.mark.parametrize("masked", [False, True])
def test_channels_last_goes_through(masked):
    """Nothing between the first convolution and the last block brings the maps back to the contiguous format.

    A group of channels is a slice: its own strides say whether the channels lie together.
    """
    net = build(VARIANTS["three scales"]).to(memory_format=torch.channels_last)
    kept = []

    def look(_, inputs, output):
        kept.append(output.is_contiguous(memory_format=torch.channels_last))
        kept.append(inputs[0].stride(1) == 1 or inputs[0].shape[1] == 1)

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d):
            module.register_forward_hook(look)
    features, mask = torch.randn(2, 80, 40, dtype=torch.float64), frame_mask(torch.tensor([40, 21]), 40)
    with torch.no_grad():
        frames = net(features, mask if masked else None)
        expected = build(VARIANTS["three scales"])(features, mask if masked else None)
    assert all(kept)
    torch.testing.assert_close(frames, expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"depth": 20}, "depth must be one of 18"),
        ({"scale": 1}, "scale must be 2 or more"),
        ({"channels": 0}, "channels must be 1 or more, got 0"),
    ],
)
def test_wrong_arguments_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        registry.build("backbone", {"name": "res2net"} | spec)
