"""The ResNet family against a plain reading of the papers, and against the counts of the reference nets."""

import pytest
import torch
from torch.nn import functional as F

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.layers import frame_mask

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
VARIANTS = {
    "basic": {"name": "resnet", "depth": 18, "channels": 4},
    "basic, 34": {"name": "resnet", "depth": 34, "channels": 2},
    "bottleneck": {"name": "resnet", "depth": 50, "channels": 2},
    "se": {"name": "se_resnet", "depth": 18, "channels": 8, "reduction": 4},
    "se, bottleneck": {"name": "se_resnet", "depth": 50, "channels": 2},
    "simam": {"name": "resnet", "depth": 18, "channels": 4, "simam": True},
    "resnext": {"name": "resnext", "channels": 4, "groups": 4, "base_width": 16},
    "resnext, se": {"name": "resnext", "channels": 4, "groups": 2, "base_width": 64, "se": True},
}


def build(spec, input_dim=80, seed=0):
    """A net whose norms have statistics of every size: with fresh ones an exchange of two would not be seen."""
    torch.manual_seed(seed)
    net = registry.build("backbone", spec, input_dim=input_dim)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.3, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def reference(weights, features, *, depth=50, groups=1, simam=False, **_):
    """Frames [C F', N'] of one recording's features [F, N] from a state dict, in double precision and without masks."""
    w = {name: value.double() for name, value in weights.items()}

    def conv(name, x, stride=1, groups=1):
        """One tap and one group at a time; stride acts on both axes."""
        kernel = w[name + ".weight"]
        reach = kernel.shape[2] // 2
        padded = F.pad(x, (reach,) * 4)
        height, length = ((size + stride - 1) // stride for size in x.shape[1:])
        inner, outer = kernel.shape[1], kernel.shape[0] // groups
        y = torch.zeros(kernel.shape[0], height, length, dtype=torch.float64)
        for group in range(groups):
            into = slice(group * outer, (group + 1) * outer)
            for row in range(kernel.shape[2]):
                for column in range(kernel.shape[3]):
                    seen = padded[group * inner : (group + 1) * inner, row::stride, column::stride][:, :height, :length]
                    y[into] += torch.einsum("oi,ifn->ofn", kernel[into, :, row, column], seen)
        return y

    def norm(name, x):
        mean, variance, scale, shift = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        gain = scale / (variance + 1e-5) ** 0.5
        return x * gain[:, None, None] + (shift - mean * gain)[:, None, None]

    def attend(name, x):
        if simam:
            deviation = (x - x.mean((1, 2), keepdim=True)) ** 2
            energy = deviation / (4 * (x.var((1, 2), keepdim=True) + 1e-4)) + 0.5
            return x / (1 + torch.exp(-energy))
        gate = f"{name}.attention.gate.linear"
        if gate + "1.weight" not in w:
            return x
        hidden = F.relu(w[gate + "1.weight"] @ x.mean((1, 2)) + w[gate + "1.bias"])
        return x / (1 + torch.exp(-(w[gate + "2.weight"] @ hidden + w[gate + "2.bias"])))[:, None, None]

    def block(name, x, stride):
        if depth < 50:
            y = F.relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride)))
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", y))
        else:
            y = F.relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x)))
            y = F.relu(norm(f"{name}.bn2", conv(f"{name}.conv2", y, stride, groups)))
            y = norm(f"{name}.bn3", conv(f"{name}.conv3", y))
        if f"{name}.shortcut.0.weight" in w:
            x = norm(f"{name}.shortcut.1", conv(f"{name}.shortcut.0", x, stride))
        return F.relu(attend(name, y) + x)

    x = F.relu(norm("bn1", conv("conv1", features.double()[None])))
    for stage, count in enumerate(STAGES[depth]):
        for place in range(count):
            x = block(f"layer{stage + 1}.{place}", x, 2 if stage and not place else 1)
    return x.reshape(-1, x.shape[2])


@pytest.mark.parametrize("num_frames", [1, 6, 57])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_weights_give_the_same_frames(variant, num_frames):
    spec = VARIANTS[variant]
    net = build(spec, input_dim=20)
    features = torch.randn(2, 20, num_frames)
    with torch.no_grad():
        ours = net(features)
    for item in range(2):
        torch.testing.assert_close(ours[item].double(), reference(net.state_dict(), features[item], **spec), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_item_gives_the_frames_that_it_gets_alone(variant):
    spec = VARIANTS[variant]
    net = build(spec, input_dim=20)
    features, lengths = torch.randn(4, 20, 45), torch.tensor([45, 30, 9, 1])
    with torch.no_grad():
        ours = net(features, frame_mask(lengths, 45))
    for item, (length, left) in enumerate(zip(lengths, net.num_frames(lengths), strict=True)):
        expected = reference(net.state_dict(), features[item, :, :length], **spec)
        assert expected.shape[1] == left
        torch.testing.assert_close(ours[item, :, :left].double(), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("input_dim", [1, 7, 40, 81])
@pytest.mark.parametrize("name", ["resnet", "se_resnet", "resnext"])
def test_any_number_of_bins_and_frames(name, input_dim):
    net = registry.build("backbone", {"name": name, "channels": 2, "depth": 50}, input_dim=input_dim).eval()
    with torch.no_grad():
        for num_frames in (1, 2, 8, 9, 17):
            frames = net(torch.randn(1, input_dim, num_frames))
            assert frames.shape == (1, net.output_dim, int(net.num_frames(torch.tensor(num_frames))))


@pytest.mark.parametrize(
    ("depth", "count"),
    [
        (18, 4_105_440),
        (34, 6_634_336),
        (50, 11_131_360),
        (101, 15_892_448),
        (152, 19_814_880),
        (221, 23_792_224),
        (293, 28_626_016),
    ],
)
def test_parameters_of_the_r_vector(depth, count):
    """wespeaker's ResNets of these depths with 80 bins have these many: ours, and its linear layer (2 C' -> 256) behind TSTP."""
    with torch.device("meta"):
        net = registry.build("backbone", {"name": "resnet", "depth": depth}, input_dim=80)
    projection = 2 * net.output_dim * 256 + 256
    assert sum(parameter.numel() for parameter in net.parameters()) + projection == count


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"depth": 18}, 11_689_512 - 513_000),
        ({"depth": 34}, 21_797_672 - 513_000),
        ({"depth": 50}, 25_557_032 - 2_049_000),
        ({"depth": 101}, 44_549_160 - 2_049_000),
        ({"depth": 152}, 60_192_808 - 2_049_000),
        ({"name": "resnext", "depth": 50}, 25_028_904 - 2_049_000),
        ({"name": "resnext", "depth": 101, "base_width": 8}, 88_791_336 - 2_049_000),
        ({"name": "se_resnet", "depth": 50, "reduction": 16}, 28_088_024 - 2_049_000),
    ],
)
def test_parameters_of_the_nets_for_pictures(spec, count):
    """torchvision's and timm's counts without the classifier; our stem is 3 x 3 for one channel, theirs 7 x 7 for three."""
    with torch.device("meta"):
        net = registry.build("backbone", {"name": "resnet", "channels": 64} | spec)
    assert sum(parameter.numel() for parameter in net.parameters()) == count - 7 * 7 * 3 * 64 + 3 * 3 * 64


@pytest.mark.parametrize(("depth", "count"), [(34, 21_275_840), (100, 46_294_976)])
def test_parameters_of_simam_resnet(depth, count):
    """The part of wespeaker's SimAM_ResNet34 and 100 before the pooling; the attention itself has none."""
    with torch.device("meta"):
        net = registry.build("backbone", {"name": "resnet", "depth": depth, "channels": 64, "simam": True})
    assert sum(parameter.numel() for parameter in net.parameters()) == count


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_channels_last_goes_through(variant, masked):
    """Nothing between the first convolution and the last block brings the maps back to the contiguous format."""
    net = build(VARIANTS[variant]).to(memory_format=torch.channels_last)
    kept = []

    def look(_, inputs, output):
        kept.append(all(t.is_contiguous(memory_format=torch.channels_last) for t in (inputs[0], output)))

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d):
            module.register_forward_hook(look)
    features, mask = torch.randn(2, 80, 40), frame_mask(torch.tensor([40, 21]), 40)
    with torch.no_grad():
        frames = net(features, mask if masked else None)
        expected = build(VARIANTS[variant])(features, mask if masked else None)
    assert all(kept)
    torch.testing.assert_close(frames, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_simam_has_a_finite_gradient_on_a_constant_map(value):
    net = build({"name": "resnet", "depth": 18, "channels": 2, "simam": True}, input_dim=1)
    features = torch.full((1, 1, 1), value, requires_grad=True)
    frames = net(features)
    frames.sum().backward()
    assert torch.isfinite(frames).all()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"depth": 20}, "depth must be one of 18, 34, 50"),
        ({"se": True, "simam": True}, "exclude each other"),
        ({"depth": 34, "groups": 4}, "belong to bottlenecks"),
        ({"depth": 100, "base_width": 32}, "belong to bottlenecks"),
        ({"channels": 0}, "must be 1 or more"),
        ({"se": True, "reduction": 0}, "must be 1 or more"),
    ],
)
def test_wrong_arguments_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        registry.build("backbone", {"name": "resnet"} | spec)
