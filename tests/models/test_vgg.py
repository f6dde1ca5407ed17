"""The VGG nets against a plain reading of the papers' tables, with the papers' paddings, in double precision."""

import pytest
import torch
from torch.nn import functional as F

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.layers import frame_mask
from voxid.models.speaker.vgg import VGG

# A number is a convolution's kernel, stride and padding; a word a maximum's kernel and stride. (frequency, time) each.
PAPERS = {
    "vggvox": [
        *[((7, 7), (2, 2), (1, 1)), ("max", (3, 3), (2, 2)), ((5, 5), (2, 2), (1, 1)), ("max", (3, 3), (2, 2))],
        *[((3, 3), (1, 1), (1, 1))] * 3,
        ("max", (5, 3), (3, 2)),
    ],
    "vgg_m_40": [
        *[((5, 7), (1, 2), (2, 2)), ("max", (1, 3), (1, 2)), ((5, 5), (2, 2), (1, 1)), ("max", (3, 3), (2, 2))],
        *[((3, 3), (1, 1), (1, 1))] * 3,
        ("max", (3, 3), (2, 2)),
    ],
}
BINS = {"vggvox": 128, "vgg_m_40": 40, "vgg11": 40, "vgg13": 32, "vgg16": 32}


def vgg(variant, seed=0, **options):
    """A narrow net in double precision whose norms have statistics of every size."""
    torch.manual_seed(seed)
    net = VGG(BINS[variant], variant, width=0.1, **options)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.05, 0.2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.2, 0.2)
    return net.eval().double()  # a wrong edge is far above its rounding; single precision is for the contracts


def step(weights, name, x, stride, padding):
    """Convolution, BatchNorm and ReLU from a state dict."""
    w = {part: weights[f"{name}.{part}"] for part in ("conv.weight", "conv.bias")}
    n = [weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(F.conv2d(x, w["conv.weight"], w["conv.bias"], stride, padding), *n).clamp(min=0)


def paper(net, variant, x):
    """Frames [C, N'] of one item [F, N] by the papers' tables."""
    weights, x = net.state_dict(), x[None, None]
    for place, (first, second, third) in enumerate(PAPERS[variant]):
        x = F.max_pool2d(x, second, third) if first == "max" else step(weights, f"steps.{place}", x, second, third)
    return step(weights, "collapse", x, 1, 0)[0, :, 0] if "collapse.conv.weight" in weights else x[0].mean(1)


@pytest.mark.parametrize("variant", PAPERS)
@pytest.mark.parametrize("collapse", ["conv", "mean"])
def test_vgg_m_is_that_of_the_papers(variant, collapse):
    """The papers pad by one and drop frames: their first frame is centred where ours is the second, at frame 32 of the item.
    Away from the edges the frames agree."""
    net = vgg(variant, collapse=collapse)
    x = torch.randn(BINS[variant], 640, dtype=torch.float64)
    with torch.no_grad():
        ours = net(x[None])[0]
        # vgg_m_40 pads its first convolution by two frames: its centres lie one frame before those of vggvox.
        theirs = paper(net, variant, x if variant == "vggvox" else x[:, 1:])
    assert ours.shape == (net.output_dim, 20)
    inner = slice(5, 13)  # the context of a frame is some 100 frames on either side
    torch.testing.assert_close(ours[:, 6:14], theirs[:, inner], atol=1e-9, rtol=1e-9)
    assert ours[:, 6:14].std(1).max() > 1e-3


@pytest.mark.parametrize(("variant", "counts"), [("vgg11", "11222"), ("vgg13", "22222"), ("vgg16", "22333")])
@pytest.mark.parametrize("num_frames", [1, 31, 33, 70])
def test_plain_nets_are_convolutions_and_maxima(variant, counts, num_frames):
    net, x = vgg(variant, collapse="mean"), torch.randn(BINS[variant], num_frames, dtype=torch.float64)
    y, place = x[None, None], 0
    for count in map(int, counts):
        for _ in range(count):
            y, place = step(net.state_dict(), f"steps.{place}", y, 1, 1), place + 1
        y, place = F.max_pool2d(y, 2, 2, ceil_mode=True)[:, :, : y.shape[2] // 2], place + 1
    with torch.no_grad():
        torch.testing.assert_close(net(x[None])[0], y[0].mean(1), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("variant", BINS)
@pytest.mark.parametrize("collapse", ["conv", "mean"])
def test_a_batch_gives_each_item_the_frames_that_it_gets_alone(variant, collapse):
    net, lengths = vgg(variant, collapse=collapse), torch.tensor([150, 1, 32, 33, 97])
    x = torch.randn(5, BINS[variant], 150, dtype=torch.float64)
    for item, length in enumerate(lengths):
        x[item, :, length:] = 100.0
    left = net.num_frames(lengths)
    assert left.tolist() == [5, 1, 1, 2, 4]
    with torch.no_grad():
        together = net(x, frame_mask(lengths, 150))
        for item, length in enumerate(lengths):
            alone = net(x[item : item + 1, :, :length])[0]
            assert alone.shape == (net.output_dim, left[item])
            torch.testing.assert_close(together[item, :, : left[item]], alone, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("variant", "bins", "convolutions", "norms", "width"),
    [
        # Kernel, channels and biases of each convolution of the table, the one over all of F last: 9 rows of 512 bins,
        # 4 of 40.
        ("vggvox", 512, 4_800 + 614_656 + 885_120 + 884_992 + 590_080 + 9_441_280, 96 + 256 + 384 + 256 + 256 + 4096, 4096),
        ("vgg_m_40", 40, 3_456 + 614_656 + 885_120 + 884_992 + 590_080 + 524_800, 96 + 256 + 384 + 256 + 256 + 512, 512),
    ],
)
def test_parameters_of_vgg_m(variant, bins, convolutions, norms, width):
    with torch.device("meta"):
        net = VGG(bins, variant)
    assert sum(parameter.numel() for parameter in net.parameters()) == convolutions + 2 * norms
    assert net.output_dim == width


@pytest.mark.parametrize(("variant", "whole"), [("vgg11", 132_868_840), ("vgg13", 133_053_736), ("vgg16", 138_365_992)])
def test_parameters_of_the_plain_nets(variant, whole):
    """torchvision publishes these totals for vgg*_bn: 123,642,856 are its classifier's, and its first layer sees three colours
    where ours sees one."""
    with torch.device("meta"):
        net = VGG(80, variant, collapse="mean")
    assert sum(parameter.numel() for parameter in net.parameters()) == whole - 123_642_856 - 2 * 64 * 9
    assert net.output_dim == 512


@pytest.mark.parametrize(("variant", "fewest"), [("vggvox", 97), ("vgg_m_40", 15), ("vgg11", 32), ("vgg13", 32), ("vgg16", 32)])
def test_too_few_bins_are_refused(variant, fewest):
    assert VGG(fewest, variant, width=0.02).eval()(torch.randn(1, fewest, 1)).shape[2] == 1
    with pytest.raises(ConfigError, match=f"{variant} needs {fewest} bins"):
        registry.build("backbone", {"name": "vgg", "variant": variant, "input_dim": fewest - 1})


@pytest.mark.parametrize("bad", [{"variant": "vgg12"}, {"collapse": "max"}])
def test_wrong_arguments_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        registry.build("backbone", {"name": "vgg", "input_dim": 80} | bad)
