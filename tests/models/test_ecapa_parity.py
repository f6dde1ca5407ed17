"""ECAPA-TDNN against a plain reading of the paper: no masks, no modules, one line of algebra a step."""

import pytest
import torch
from torch.nn import functional as F

from voxid.models.speaker.encoder import SpeakerEncoder


def encoder(channels, *, aggregation_norm, embedding_norm=False, seed=0):
    """A net whose BatchNorms have statistics of every size and whose attention has peaks: with fresh ones an exchange of two
    norms or another context of the attention would not be seen."""
    torch.manual_seed(seed)
    backbone = {"name": "ecapa_tdnn", "channels": channels, "aggregation_norm": aggregation_norm}
    net = SpeakerEncoder(backbone=backbone, embedding_norm=embedding_norm)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    with torch.no_grad():
        net.pooling.linear1.weight.mul_(4)
        net.pooling.linear2.weight.mul_(20)
    return net.eval()


def reference(weights, features, *, aggregation_norm, embedding_norm=False):
    """Embedding [D] of one recording's features [F, N] from a state dict, in double precision."""
    w = {name: value.double() for name, value in weights.items()}

    def affine(name, x):  # k = 1: the same matrix at every frame
        matrix = w[name + ".weight"]
        return matrix.reshape(matrix.shape[0], -1) @ x + w[name + ".bias"].reshape(-1, *[1] * (x.ndim - 1))

    def conv(name, x, dilation):
        """Zero-padded convolution, one tap at a time."""
        kernel = w[name + ".weight"]
        reach = kernel.shape[2] // 2
        padded = F.pad(x, (reach * dilation, reach * dilation))
        taps = [kernel[:, :, tap] @ padded[:, tap * dilation : tap * dilation + x.shape[1]] for tap in range(kernel.shape[2])]
        return sum(taps) + w[name + ".bias"][:, None]

    def norm(name, x):
        shape = (-1, *[1] * (x.ndim - 1))
        mean, variance, scale, shift = (
            w[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5) ** 0.5 * scale + shift

    def block(name, x, dilation):
        y = norm(f"{name}.expand.bn", F.relu(affine(f"{name}.expand.conv", x)))
        width = y.shape[0] // 8
        groups = [y[width * g : width * (g + 1)] for g in range(8)]
        done = [norm(f"{name}.res2.groups.0.bn", F.relu(conv(f"{name}.res2.groups.0.conv", groups[0], dilation)))]
        for g in range(1, 7):
            group = f"{name}.res2.groups.{g}"
            done.append(norm(f"{group}.bn", F.relu(conv(f"{group}.conv", groups[g] + done[g - 1], dilation))))
        y = norm(f"{name}.project.bn", F.relu(affine(f"{name}.project.conv", torch.cat([*done, groups[7]]))))
        gate = torch.sigmoid(affine(f"{name}.se.linear2", F.relu(affine(f"{name}.se.linear1", y.mean(1)))))
        return x + gate[:, None] * y

    x = norm("backbone.stem.bn", F.relu(conv("backbone.stem.conv", features.double(), 1)))
    first = block("backbone.blocks.0", x, 2)
    second = block("backbone.blocks.1", first, 3)
    third = block("backbone.blocks.2", second, 4)
    joined = torch.cat([first, second, third])
    if aggregation_norm:
        frames = norm("backbone.aggregate.bn", F.relu(affine("backbone.aggregate.conv", joined)))
    else:
        frames = F.relu(affine("backbone.aggregate.0", joined))
    count = frames.shape[1]
    mean, deviation = frames.mean(1, keepdim=True), frames.std(1, keepdim=True)
    attention = affine(
        "pooling.linear2",
        torch.tanh(affine("pooling.linear1", torch.cat([frames, mean.repeat(1, count), deviation.repeat(1, count)]))),
    )
    attention = attention.exp() / attention.exp().sum(1, keepdim=True)
    mean = (attention * frames).sum(1)
    deviation = (attention * (frames - mean[:, None]) ** 2).sum(1).sqrt()
    embedding = affine("projection", norm("norm", torch.cat([mean, deviation])))
    return norm("embedding_norm", embedding) if embedding_norm else embedding


@pytest.mark.parametrize("aggregation_norm", [True, False])
@pytest.mark.parametrize("embedding_norm", [True, False])
@pytest.mark.parametrize("num_frames", [3, 57, 300])
def test_the_same_weights_give_the_same_embedding(aggregation_norm, embedding_norm, num_frames):
    net = encoder(32, aggregation_norm=aggregation_norm, embedding_norm=embedding_norm)
    features = torch.randn(2, 80, num_frames)
    with torch.no_grad():
        ours = net.embed_features(features)
    for item in range(2):
        expected = reference(net.state_dict(), features[item], aggregation_norm=aggregation_norm, embedding_norm=embedding_norm)
        torch.testing.assert_close(ours[item].double(), expected, atol=1e-5, rtol=1e-5)


def test_a_padded_item_gives_the_same_embedding():
    net = encoder(32, aggregation_norm=True)
    features = torch.randn(2, 80, 120)
    mask = (torch.arange(120) < torch.tensor([120, 45])[:, None]).unsqueeze(1)
    with torch.no_grad():
        ours = net.embed_features(features * mask, mask)
    for item, length in enumerate((120, 45)):
        expected = reference(net.state_dict(), features[item, :, :length], aggregation_norm=True)
        torch.testing.assert_close(ours[item].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("channels", "count"), [(512, 6_190_720), (1024, 14_657_088)])
def test_parameters_of_the_variant_without_the_joining_norm(channels, count):
    """wespeaker's ECAPA_TDNN_GLOB_c512 and _c1024 with 80 bins and D = 192 have these many."""
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": channels, "aggregation_norm": False}, embedding_dim=192)
    assert sum(parameter.numel() for parameter in net.parameters()) == count


@pytest.mark.parametrize("channels", [512, 1024])
def test_the_joining_norm_adds_two_numbers_a_channel(channels):
    backbones = [{"name": "ecapa_tdnn", "channels": channels, "aggregation_norm": norm} for norm in (True, False)]
    with_norm, without = (sum(p.numel() for p in SpeakerEncoder(backbone=backbone).parameters()) for backbone in backbones)
    assert with_norm - without == 2 * 1536
