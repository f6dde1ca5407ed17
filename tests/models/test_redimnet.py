"""ReDimNet against a plain reading of the paper: no masks, no modules, in double precision."""

import math

import pytest
import torch
from torch.nn import functional as F

from voxid.errors import ConfigError
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.models.speaker.redimnet import SIZES, ReDimNet, Transformer, to_frames, to_map
from voxid.registry import build

STAGES = ((1, 1, 1, 0), (2, 2, 2, 6), (3, 1, 1, 12))
NETS = {
    "convnext": {"size": "b1", "channels": 4, "group": 2},
    "resnet": {"size": "b0", "channels": 4, "group": 1},
    "resnet_se": {"size": "b3", "channels": 4, "group": 4},
}


def small(kind, bins=12):
    """A net whose norms and mixes are those of no fresh one."""
    torch.manual_seed(0)
    net = ReDimNet(bins, **NETS[kind], stages=STAGES)
    for name, parameter in net.named_parameters():
        if "mixes" in name or "norm" in name or "bn" in name:
            torch.nn.init.uniform_(parameter, -0.5, 1.5)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


class Reading:
    """The net's arithmetic on one recording, straight from its state dict."""

    def __init__(self, weights):
        self.w = {name: value.double() for name, value in weights.items()}

    def conv(self, name, x, stride=1):
        """Grouped convolution of [C, F, N] or [C, N], one tap at a time; zero-padded, but not along bins with a stride."""
        kernel, bias = self.w[f"{name}.weight"], self.w.get(f"{name}.bias")
        if kernel.ndim == 3:
            return self._taps(kernel[:, :, None], bias, x[:, None], 1)[:, 0]
        return self._taps(kernel, bias, x, stride)

    def _taps(self, kernel, bias, x, stride):
        high, wide = kernel.shape[2:]
        down = 0 if stride > 1 else high // 2
        padded = F.pad(x, (wide // 2, wide // 2, down, down))
        outputs, per_group = kernel.shape[:2]
        each = outputs * per_group // x.shape[0]  # outputs of a group
        rows, columns = x.shape[1:]
        y = torch.zeros(outputs, -(-rows // stride), columns, dtype=torch.float64)
        for o in range(outputs):
            group = padded[o // each * per_group : (o // each + 1) * per_group]
            for f in range(high):
                for n in range(wide):
                    y[o] += (kernel[o, :, f, n, None, None] * group[:, f : f + rows : stride, n : n + columns]).sum(0)
        return y if bias is None else y + bias[:, None, None]

    def batch_norm(self, name, x, eps=1e-5):
        shape = (-1, *[1] * (x.ndim - 1))
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (self.w[f"{name}.{part}"].reshape(shape) for part in parts)
        return (x - mean) / (variance + eps) ** 0.5 * scale + shift

    def layer_norm(self, name, x):
        """Over the channels, which come first."""
        shape = (-1, *[1] * (x.ndim - 1))
        x = (x - x.mean(0)) / (((x - x.mean(0)) ** 2).mean(0) + 1e-6) ** 0.5
        return x * self.w[f"{name}.weight"].reshape(shape) + self.w[f"{name}.bias"].reshape(shape)

    def linear(self, name, x):
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"][:, None]

    def convnext(self, name, x):
        y = self.batch_norm(f"{name}.bn", self.conv(f"{name}.conv", x))
        return x + self.conv(f"{name}.linear", y * 0.5 * (1 + torch.erf(y / math.sqrt(2))))

    def residual(self, name, x):
        y = self.batch_norm(f"{name}.bn1", F.relu(self.conv(f"{name}.linear1", self.conv(f"{name}.conv1", x))))
        y = self.batch_norm(f"{name}.bn2", self.conv(f"{name}.linear2", self.conv(f"{name}.conv2", y)))
        if f"{name}.se.linear1.weight" in self.w:
            means = torch.stack([y[:, f].mean() for f in range(y.shape[1])])[:, None]
            gate = torch.sigmoid(self.linear(f"{name}.se.linear2", F.relu(self.linear(f"{name}.se.linear1", means))))
            y = y * gate[None]
        return F.relu(x + y)

    def context(self, name, x):
        y = self.layer_norm(f"{name}.norm", self.conv(f"{name}.reduce", x))
        for index in range(4):
            y = self.convnext(f"{name}.convs.{index}", y)
        inner = f"{name}.transformer"
        query, key, value = (self.linear(f"{inner}.{part}", y).chunk(4) for part in ("query", "key", "value"))
        heads = []
        for q, k, v in zip(query, key, value, strict=True):
            scores = (q.T @ k / math.sqrt(len(q))).exp()
            heads.append(v @ (scores / scores.sum(1, keepdim=True)).T)
        y = self.layer_norm(f"{inner}.norm1", y + self.linear(f"{inner}.output", torch.cat(heads)))
        z = self.linear(f"{inner}.linear1", y)
        z = 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
        y = self.layer_norm(f"{inner}.norm2", y + self.linear(f"{inner}.linear2", z))
        return x + self.conv(f"{name}.expand", y)

    def stage(self, name, x, bins, stage):
        x = self.conv(f"{name}.conv", naive_map(x, bins), stage[0])
        for place in range(stage[1]):
            block = f"{name}.blocks.{place}"
            x = self.convnext(block, x) if f"{block}.bn.weight" in self.w else self.residual(block, x)
        if stage[2] > 1:
            x = self.batch_norm(f"{name}.squeeze.bn", self.conv(f"{name}.squeeze.conv", x), eps=1e-6)
            x = self.conv(f"{name}.squeeze.linear", x * 0.5 * (1 + torch.erf(x / math.sqrt(2))))
        x = naive_frames(x)
        return self.context(f"{name}.context", x) if stage[3] else x

    def mix(self, name, outputs):
        weights = self.w[f"{name}.weight"].exp()
        return sum(weight * output for weight, output in zip(weights / weights.sum(0), outputs, strict=True))

    def __call__(self, features):
        bins, x = features.shape[0], features.double()[None]
        outputs = [naive_frames(self.layer_norm("norm", self.conv("conv", x)))]
        x = outputs[0]
        for index, stage in enumerate(STAGES):
            outputs.append(self.stage(f"stages.{index}", x, bins, stage))
            x, bins = self.mix(f"mixes.{index}", outputs), bins // stage[0]
        return x


def naive_frames(x):
    """[C, F, N] -> [F * C, N], one row at a time: channel c of bin f stands at f * C + c."""
    channels, bins, _ = x.shape
    return torch.stack([x[row % channels, row // channels] for row in range(channels * bins)])


def naive_map(x, bins):
    """[F * C, N] -> [C, F, N], one row at a time."""
    channels = x.shape[0] // bins
    return torch.stack([torch.stack([x[f * channels + c] for f in range(bins)]) for c in range(channels)])


def test_reshaping_there_and_back():
    x = torch.randn(2, 3, 4, 5)
    frames = to_frames(x)
    for item in range(2):
        assert torch.equal(frames[item], naive_frames(x[item]))
        assert torch.equal(to_map(frames, 6)[item], naive_map(frames[item], 6))
    assert torch.equal(to_map(frames, 4), x)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("num_frames", [1, 2, 40])
def test_the_same_weights_give_the_same_frames(kind, num_frames):
    net = small(kind)
    features = torch.randn(1, 12, num_frames)
    with torch.no_grad():
        ours = net(features)[0]
    assert ours.shape == (net.output_dim, num_frames)
    torch.testing.assert_close(ours.double(), Reading(net.state_dict())(features[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", NETS)
def test_a_padded_item_gives_the_same_frames(kind):
    net = small(kind, bins=24)
    lengths = torch.tensor([33, 1, 12])
    features = torch.randn(3, 24, 33)
    mask = (torch.arange(33) < lengths[:, None]).unsqueeze(1)
    with torch.no_grad():
        ours = net(torch.where(mask, features, 50.0), mask)
    for item, length in enumerate(lengths.tolist()):
        expected = Reading(net.state_dict())(features[item, :, :length])
        torch.testing.assert_close(ours[item, :, :length].double(), expected, atol=1e-5, rtol=1e-5)


def test_no_frame_attends_to_padding():
    torch.manual_seed(0)
    layer, x = Transformer(8).eval(), torch.randn(1, 8, 6)
    mask = torch.tensor([[[True] * 4 + [False] * 2]])
    changed = x.clone()
    changed[:, :, 4:] = 100
    with torch.no_grad():
        assert torch.equal(layer(x, mask)[:, :, :4], layer(changed, mask)[:, :, :4])
        torch.testing.assert_close(layer(x, mask)[:, :, :4], layer(x[:, :, :4]), atol=1e-6, rtol=0)
        assert not torch.allclose(layer(x)[:, :, :4], layer(changed)[:, :, :4])


COUNTS = {
    "b0": (463_330, 1_004_250),
    "b1": (1_348_152, 2_126_936),
    "b2": (4_028_784, 5_067_056),
    "b3": (2_186_748, 3_225_020),
    "b4": (4_365_296, 6_441_520),
    "b5": (5_583_536, 7_659_760),
    "b6": (12_939_248, 15_015_472),
}


@pytest.mark.parametrize("size", SIZES)
def test_parameters_of_the_published_nets(size):
    """The authors' code with these stages holds one number more: the weight, always 1, of the first stage's only input."""
    own, whole = COUNTS[size]
    frontend = {"name": "fbank", "num_mel_bins": SIZES[size].bins}
    net = SpeakerEncoder(frontend, {"name": "redimnet", "size": size}, {"name": "asp", "context": True}, embedding_dim=192)
    assert sum(parameter.numel() for parameter in net.backbone.parameters()) == own
    assert sum(parameter.numel() for parameter in net.parameters()) == whole


def test_parameters_of_wespeakers_b2():
    """wespeaker's B2 halves the bins in its fourth stage, where the authors' divides them by three: 4,892,849 with its own tail
    and the number above."""
    stages = [list(stage) for stage in SIZES["b2"].stages]
    stages[3][0] = 2
    own = sum(parameter.numel() for parameter in ReDimNet(72, size="b2", stages=stages).parameters())
    assert own == 3_854_577 - 1


@pytest.mark.parametrize("size", SIZES)
def test_other_widths_are_accepted_or_refused_with_the_nearest(size):
    assert ReDimNet(72, size=size).output_dim == 72 * SIZES[size].channels
    with pytest.raises(ValueError, match="nearest that fit: ") as caught:
        ReDimNet(71, size=size)
    assert "num_mel_bins: 72" in str(caught.value)


def test_a_wrong_width_is_a_users_mistake():
    with pytest.raises(ConfigError, match=r"input_dim 80; the nearest that fit: \[72, 84\]"):
        build("backbone", "redimnet", input_dim=80)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"size": "b9"}, "unknown size 'b9'"),
        ({"block": "convnet"}, "did you mean 'convnext'"),
        ({"channels": 3, "stages": [[1, 1, 1, 10**6]]}, "no input_dim fits"),
    ],
)
def test_arguments_that_make_no_net_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        ReDimNet(72, **arguments)
