"""CAM++ against a plain reading of the paper: no masks, no modules, one line of algebra a step, in double precision."""

import pytest
import torch
from torch.nn import functional as F

from voxid.models.speaker.campplus import CAMPPlus, ContextAwareMasking, segment_means

SMALL = {"channels": 12, "front_channels": 3, "growth": 4, "bottleneck": 2, "layers": (2, 3, 1), "segment": 8}


def shaken(net, seed=0):
    """The net with BatchNorms of every size: with fresh ones an exchange of two of them would not be seen."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            torch.nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return net.eval()


def conv2d(x, kernel, stride):
    """Zero-padded convolution of a map [C, F, N], one tap at a time; the stride is that of the bins."""
    reach = kernel.shape[2] // 2
    padded = F.pad(x, (reach, reach, reach, reach))
    rows, columns = x.shape[1:]
    taps = [
        torch.einsum("oi,ifn->ofn", kernel[:, :, f, n], padded[:, f : f + rows : stride, n : n + columns])
        for f in range(kernel.shape[2])
        for n in range(kernel.shape[3])
    ]
    return sum(taps)


def conv1d(x, kernel, dilation=1):
    reach = kernel.shape[2] // 2 * dilation
    padded = F.pad(x, (reach, reach))
    return sum(kernel[:, :, tap] @ padded[:, tap * dilation : tap * dilation + x.shape[1]] for tap in range(kernel.shape[2]))


def masking(w, name, x, dilation, segment):
    """The CAM layer, one frame after the other."""
    local, mean = conv1d(x, w[name + ".local.weight"], dilation), x.mean(1)
    frames = []
    for frame in range(x.shape[1]):
        first = frame // segment * segment
        context = mean + x[:, first : first + segment].mean(1)
        hidden = F.relu(w[name + ".linear1.weight"][:, :, 0] @ context + w[name + ".linear1.bias"])
        frames.append(local[:, frame] * torch.sigmoid(w[name + ".linear2.weight"][:, :, 0] @ hidden + w[name + ".linear2.bias"]))
    return torch.stack(frames, dim=1)


def reference(weights, features, layers, segment):
    """Frames [C, ceil(N / 2)] of one recording's features [F, N] from a state dict."""
    w = {name: value.double() for name, value in weights.items()}

    def norm(name, x):
        shape = (-1, *[1] * (x.ndim - 1))
        mean, variance, scale, shift = (
            w[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5) ** 0.5 * scale + shift

    def block2d(name, x, stride):
        y = F.relu(norm(f"{name}.bn1", conv2d(x, w[f"{name}.conv1.weight"], stride)))
        y = norm(f"{name}.bn2", conv2d(y, w[f"{name}.conv2.weight"], 1))
        return F.relu(y + (norm(f"{name}.shortcut.1", conv2d(x, w[f"{name}.shortcut.0.weight"], stride)) if stride > 1 else x))

    x = F.relu(norm("front.bn1", conv2d(features.double()[None], w["front.conv1.weight"], 1)))
    for index, stride in enumerate((2, 1, 2, 1)):
        x = block2d(f"front.blocks.{index}", x, stride)
    x = F.relu(norm("front.bn2", conv2d(x, w["front.conv2.weight"], 2)))
    x = x.reshape(-1, x.shape[2])
    x = F.relu(norm("bn", conv1d(x, w["conv.weight"])[:, ::2]))
    for index, (depth, dilation) in enumerate(zip(layers, (1, 2, 2), strict=True)):
        for place in range(depth):
            layer = f"blocks.{index}.layers.{place}"
            y = w[f"{layer}.linear.weight"][:, :, 0] @ F.relu(norm(f"{layer}.bn1", x))
            x = torch.cat([x, masking(w, f"{layer}.cam", F.relu(norm(f"{layer}.bn2", y)), dilation, segment)])
        x = w[f"blocks.{index}.linear.weight"][:, :, 0] @ F.relu(norm(f"blocks.{index}.bn", x))
    return F.relu(norm("last_bn", x))


@pytest.mark.parametrize("bins", [16, 21])
@pytest.mark.parametrize("num_frames", [1, 2, 15, 16, 17, 70])
def test_the_same_weights_give_the_same_frames(bins, num_frames):
    torch.manual_seed(1)
    net = shaken(CAMPPlus(input_dim=bins, **SMALL))
    features = torch.randn(1, bins, num_frames)
    with torch.no_grad():
        ours = net(features)[0]
    expected = reference(net.state_dict(), features[0], SMALL["layers"], SMALL["segment"])
    assert ours.shape == (net.output_dim, -(-num_frames // 2))
    torch.testing.assert_close(ours.double(), expected, atol=1e-5, rtol=1e-5)


def test_a_padded_item_gives_the_same_frames():
    """Lengths that end within a segment, at its edge and one frame behind; the padding is loud."""
    torch.manual_seed(2)
    net = shaken(CAMPPlus(input_dim=16, **SMALL))
    lengths = torch.tensor([90, 1, 37, 32, 33, 34])
    features = torch.randn(len(lengths), 16, 90)
    mask = (torch.arange(90) < lengths[:, None]).unsqueeze(1)
    with torch.no_grad():
        ours = net(torch.where(mask, features, 50.0), mask)
    for item, (length, kept) in enumerate(zip(lengths.tolist(), net.num_frames(lengths).tolist(), strict=True)):
        expected = reference(net.state_dict(), features[item, :, :length], SMALL["layers"], SMALL["segment"])
        assert expected.shape[1] == kept
        torch.testing.assert_close(ours[item, :, :kept].double(), expected, atol=1e-5, rtol=1e-5)


def test_the_last_segment_is_averaged_over_its_own_frames():
    x = torch.arange(10.0).reshape(1, 1, 10)
    assert segment_means(x, 4)[0, 0].tolist() == [1.5, 5.5, 8.5]
    mask = torch.tensor([[[True] * 6 + [False] * 4]])
    assert segment_means(x, 4, mask)[0, 0].tolist() == [1.5, 4.5, 0.0]


def test_a_segment_reaches_its_own_frames_only():
    """Beside the mean of all frames, the gate of one segment must not see another: with the mean held, it stays."""
    torch.manual_seed(3)
    layer = ContextAwareMasking(4, 4, segment=5)
    x = torch.randn(1, 4, 15)
    changed = x.clone()
    changed[:, :, 5:10] += 1
    changed[:, :, 10:] -= 1
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[:, :, :4], layer(changed)[:, :, :4], atol=1e-6, rtol=0)  # frame 4 hears frame 5
        assert (layer(x) - layer(changed))[:, :, 5:].abs().max() > 1e-3


@pytest.mark.parametrize(("embedding_dim", "count"), [(512, 7_176_224), (192, 6_848_544)])
def test_parameters_of_the_paper(embedding_dim, count):
    """3D-Speaker's and wespeaker's CAMPPlus with 80 bins hold these many; behind the backbone they have a matrix over mean and
    deviation without bias, and a BatchNorm without weights."""
    net = CAMPPlus(input_dim=80)
    own = sum(parameter.numel() for parameter in net.parameters())
    assert own == 6_651_936
    assert own + 2 * net.output_dim * embedding_dim == count


def test_convolutions_start_as_he_et_al_draw_them():
    torch.manual_seed(0)
    weight = CAMPPlus().conv.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (weight.shape[1] * weight.shape[2])) ** 0.5, rel=0.02)


def test_a_wrong_number_of_blocks_is_refused():
    with pytest.raises(ValueError, match="3 dense blocks"):
        CAMPPlus(layers=(12, 24))
