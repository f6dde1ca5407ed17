"""ERes2Net and ERes2NetV2 against a plain reading of the papers: no masks, no modules, in double precision."""

import pytest
import torch
from torch.nn import functional as F

from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.models.speaker.eres2net import AttentionalFeatureFusion, ERes2Net, ERes2NetV2

SHAPE = {"channels": 4, "blocks": (1, 2, 1, 2)}
NETS = {
    "eres2net": lambda bins: ERes2Net(bins, **SHAPE),
    "eres2net, three groups": lambda bins: ERes2Net(bins, **SHAPE, scale=3, expansion=3),
    "eres2netv2": lambda bins: ERes2NetV2(bins, **SHAPE),
    "eres2netv2, four groups": lambda bins: ERes2NetV2(bins, **SHAPE, base_width=24, scale=4, expansion=4),
}


def shaken(net, seed=0):
    """The net with BatchNorms of every size, some of which reach the ceiling of the clipped ReLU."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            torch.nn.init.uniform_(module.weight, 0.5, 2.5, generator=generator)
            torch.nn.init.normal_(module.bias, 0, 0.3, generator=generator)
    return net.eval()


def conv(x, kernel, stride=1):
    """Zero-padded convolution of a map [C, F, N], one tap at a time."""
    reach, (rows, columns) = kernel.shape[2] // 2, x.shape[1:]
    padded = F.pad(x, (reach, reach, reach, reach))
    taps = [
        torch.einsum("oi,ifn->ofn", kernel[:, :, f, n], padded[:, f : f + rows : stride, n : n + columns : stride])
        for f in range(kernel.shape[2])
        for n in range(kernel.shape[3])
    ]
    return sum(taps)


def norm(w, name, x):
    mean, variance, scale, shift = (
        w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5) ** 0.5 * scale + shift


def fusion(w, name, x, y):
    hidden = norm(
        w, f"{name}.bn1", conv(torch.cat([x, y]), w[f"{name}.linear1.weight"]) + w[f"{name}.linear1.bias"][:, None, None]
    )
    hidden = hidden * torch.sigmoid(hidden)
    gate = norm(w, f"{name}.bn2", conv(hidden, w[f"{name}.linear2.weight"]) + w[f"{name}.linear2.bias"][:, None, None])
    gate = 1 + torch.tanh(gate)
    return gate * x + (2 - gate) * y


def block(w, name, x, stride):
    def clip(z):
        return F.hardtanh(z, 0, 20)

    groups = sum(key.startswith(f"{name}.bns.") and key.endswith(".bias") for key in w)
    y = clip(norm(w, f"{name}.bn1", conv(x, w[f"{name}.conv1.weight"], stride)))
    width = y.shape[0] // groups
    done = []
    for group in range(groups):
        piece = y[width * group : width * (group + 1)]
        if done and f"{name}.fusions.0.bn1.bias" in w:
            piece = fusion(w, f"{name}.fusions.{group - 1}", done[-1], piece)
        elif done:
            piece = done[-1] + piece
        done.append(clip(norm(w, f"{name}.bns.{group}", conv(piece, w[f"{name}.convs.{group}.weight"]))))
    if f"{name}.shortcut.0.weight" in w:
        x = norm(w, f"{name}.shortcut.1", conv(x, w[f"{name}.shortcut.0.weight"], stride))
    return clip(norm(w, f"{name}.bn3", conv(torch.cat(done), w[f"{name}.conv3.weight"])) + x)


def reference(weights, features):
    """Frames [C, ceil(N / 8)] of one recording's features [F, N] from a state dict; the keys tell the version."""
    w = {name: value.double() for name, value in weights.items()}
    x = F.relu(norm(w, "stages.bn", conv(features.double()[None], w["stages.conv.weight"])))
    maps = []
    for stage, depth in enumerate(SHAPE["blocks"]):
        for place in range(depth):
            x = block(w, f"stages.stages.{stage}.blocks.{place}", x, 2 if stage and not place else 1)
        maps.append(x)
    if "halving.weight" in w:
        joined = fusion(w, "fusion", maps[3], conv(maps[2], w["halving.weight"], 2))
    else:
        joined = maps[0]
        for index in range(3):
            joined = fusion(w, f"fusions.{index}", maps[index + 1], conv(joined, w[f"halvings.{index}.weight"], 2))
    return joined.reshape(-1, joined.shape[2])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("bins", "num_frames"), [(16, 1), (16, 8), (19, 9), (16, 50)])
def test_the_same_weights_give_the_same_frames(name, bins, num_frames):
    torch.manual_seed(1)
    net = shaken(NETS[name](bins))
    features = torch.randn(1, bins, num_frames)
    with torch.no_grad():
        ours = net(features)[0]
    assert ours.shape == (net.output_dim, -(-num_frames // 8))
    torch.testing.assert_close(ours.double(), reference(net.state_dict(), features[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_a_padded_item_gives_the_same_frames(name):
    """Lengths with every remainder of the stride; the padding is loud."""
    torch.manual_seed(2)
    net = shaken(NETS[name](16))
    lengths = torch.tensor([41, 1, 17, 20, 22, 23, 24])
    features = torch.randn(len(lengths), 16, 41)
    mask = (torch.arange(41) < lengths[:, None]).unsqueeze(1)
    with torch.no_grad():
        ours = net(torch.where(mask, features, 50.0), mask)
    for item, (length, kept) in enumerate(zip(lengths.tolist(), net.num_frames(lengths).tolist(), strict=True)):
        expected = reference(net.state_dict(), features[item, :, :length])
        assert expected.shape[1] == kept
        torch.testing.assert_close(ours[item, :, :kept].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("lean", "x_share", "y_share"), [(0.0, 1, 1), (50.0, 2, 0), (-50.0, 0, 2)])
def test_fusion_leans_to_one_side(lean, x_share, y_share):
    layer = AttentionalFeatureFusion(8).eval()
    torch.nn.init.zeros_(layer.bn2.weight)
    torch.nn.init.constant_(layer.bn2.bias, lean)
    x, y = torch.randn(2, 1, 8, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, y), x_share * x + y_share * y)


def test_the_ceiling_of_the_relu_holds():
    net = shaken(ERes2Net(16, **SHAPE))
    maps: list[torch.Tensor] = []
    net.stages.stages[0].blocks[0].register_forward_hook(lambda module, inputs, output: maps.append(output))
    with torch.no_grad():
        net(1000 * torch.randn(1, 16, 9))
    assert float(maps[0].max()) == 20
    assert float(maps[0].min()) == 0


@pytest.mark.parametrize(
    ("backbone", "own", "count"),
    [
        ({"name": "eres2net", "channels": 32}, 4_644_416, 6_610_688),
        ({"name": "eres2net", "channels": 64}, 18_530_432, 22_462_784),
        ({"name": "eres2netv2"}, 13_927_280, 17_859_632),
        ({"name": "eres2netv2", "base_width": 24, "scale": 4, "expansion": 4}, 45_649_120, 53_513_632),
    ],
)
def test_parameters_of_the_published_nets(backbone, own, count):
    """3D-Speaker's ERes2Net (base, large) and ERes2NetV2 (plain, w24s4ep4) with 80 bins and D = 192 hold these many; they have
    no BatchNorm between pooling and projection."""
    net = SpeakerEncoder(backbone=backbone, pooling="tsp", embedding_dim=192)
    assert sum(parameter.numel() for parameter in net.backbone.parameters()) == own
    assert sum(parameter.numel() for parameter in net.parameters()) - 2 * net.pooling.output_dim == count


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"blocks": (3, 4, 6)}, "4 stages"), ({"blocks": (3, 0, 6, 3)}, "4 stages"), ({"channels": 1}, "wider")],
)
def test_arguments_that_make_no_net_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        ERes2Net(**arguments)
