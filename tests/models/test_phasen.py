"""PHASEN against a plain reading of the paper: no masks, no modules, one item, in double precision."""

import json

import numpy as np
import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError, ModelError
from voxid.models.enhancement.phasen import SIZES, Phasen
from voxid.models.enhancement.phasen_layers import GlobalLayerNorm, MaskedBatchNorm2d

TINY = {
    "channels": 4,
    "phase_channels": 3,
    "attention_channels": 2,
    "attention_kernel": 5,
    "squeeze": 2,
    "recurrent": 6,
    "dense": 7,
    "window_length": 50,
    "hop": 20,
    "n_fft": 64,
    "window": "sine",
}
NETS = {
    "paper": {"blocks": 3},
    "huyanxin": {"size": "huyanxin", "blocks": 2},
    "small": {"size": "small"},
    "unbounded": {"bounded": False, "blocks": 1, "residual": True},
    "causal": {"causal": True, "blocks": 2},
    "causal small": {"causal": True, "size": "small", "layout": "huyanxin"},
}


def tiny(name="paper", seed=0, **more):
    """A net of small widths whose norms are not those of a fresh one."""
    torch.manual_seed(seed)
    net = Phasen(**(TINY | NETS[name] | more))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, torch.nn.BatchNorm2d | GlobalLayerNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 0.5


# ---------------------------------------------------------------------------------------------- the paper, read once more


class Reading:
    """One item [T] through the weights of a net."""

    def __init__(self, net):
        self.w = {name: value.detach().double().numpy() for name, value in net.state_dict().items()}
        self.own, self.causal, self.bounded = net.options, net.causal, net.bounded
        self.open = net.options["layout"] == "huyanxin"

    def conv(self, name, x):
        weight, bias = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        bins, frames = weight.shape[2:]
        left = frames - 1 if self.causal else frames // 2
        padded = np.pad(x, ((0, 0), (bins // 2, bins // 2), (left, frames - 1 - left)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (bins, frames), axis=(1, 2))
        return np.einsum("oifn,ipqfn->opq", weight, windows) + bias[:, None, None]

    def crb(self, name, x):
        mean, variance, scale, shift = (
            self.w[f"{name}.norm.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return np.maximum((self.conv(f"{name}.conv", x) - mean) / np.sqrt(variance + 1e-5) * scale + shift, 0)

    def gln(self, name, x):
        axes = (0, 1) if self.causal else (0, 1, 2)
        normal = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        return normal * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def ftb(self, name, x):
        squeezed = self.crb(f"{name}.squeeze", x)
        attention = self.crb(f"{name}.attention", squeezed.reshape(-1, 1, x.shape[2]))
        attention = attention if self.open else attention[:, 0][None]  # one weight a channel, or one a bin
        moved = np.stack([self.w[f"{name}.transform.weight"] @ channel for channel in x * attention])
        return self.crb(f"{name}.join", np.concatenate([moved, x]))

    def block(self, name, amplitude, phase):
        amplitude = self.ftb(f"{name}.amplitude.0", amplitude)
        for number in (1, 2, 3):
            amplitude = self.crb(f"{name}.amplitude.{number}", amplitude)
        amplitude = self.ftb(f"{name}.amplitude.4", amplitude)
        for number in (0, 1):
            norm, conv = f"{name}.phase.{number}.norm", f"{name}.phase.{number}.conv"
            phase = self.gln(norm, self.conv(conv, phase)) if self.open else self.conv(conv, self.gln(norm, phase))
        return (
            amplitude * np.tanh(self.conv(f"{name}.to_amplitude.conv", phase)),
            phase * np.tanh(self.conv(f"{name}.to_phase.conv", amplitude)),
        )

    def lstm(self, x, suffix):
        inner, outer, first, second = (
            self.w[f"recurrent.{part}_l0{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = c = np.zeros(outer.shape[1])
        steps = []
        for frame in x:
            i, f, g, o = np.split(inner @ frame + outer @ h + first + second, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            steps.append(h)
        return np.stack(steps)

    def gain(self, amplitude):
        x = self.crb("amplitude_out", amplitude)
        x = x.reshape(-1, x.shape[2]).T
        y = self.lstm(x, "")
        if not self.causal:
            y = np.concatenate([y, self.lstm(x[::-1], "_reverse")[::-1]], axis=1)
        for number in (0, 2, 4):
            y = y @ self.w[f"dense.{number}.weight"].T + self.w[f"dense.{number}.bias"]
            y = np.maximum(y, 0) if number < 4 else y
        return sigmoid(y).T if self.bounded else np.log1p(np.exp(y)).T

    def level(self, spectrum):
        power = (np.abs(spectrum) ** 2).mean(0)
        if not self.causal:
            return np.sqrt(power.mean())
        return np.sqrt([power[max(0, n - 249) : n + 1].mean() for n in range(len(power))])

    def __call__(self, x):
        length, hop, points = self.own["window_length"], self.own["hop"], self.own["n_fft"]
        window = np.sin(np.pi * np.arange(length) / length)
        count = -(-(len(x) + length - hop) // hop)
        padded = np.zeros(length + count * hop)
        padded[length - hop : length - hop + len(x)] = x
        spectrum = np.stack([np.fft.rfft(padded[n * hop : n * hop + length] * window, points) for n in range(count)], axis=1)
        heard = spectrum / self.level(spectrum)
        heard = heard * (np.abs(heard) ** 2 + 1e-6) ** ((self.own["compression"] - 1) / 2)
        both = np.stack([heard.real, heard.imag])
        amplitude = self.crb("amplitude_in.1", self.crb("amplitude_in.0", both))
        phase = self.conv("phase_in.1", self.conv("phase_in.0", both))
        first = amplitude, phase
        for number in range(self.own["blocks"]):
            if number and self.own["residual"]:
                amplitude, phase = amplitude + first[0], phase + first[1]
            amplitude, phase = self.block(f"blocks.{number}", amplitude, phase)
        real, imaginary = self.conv("phase_out", phase)
        vector = real + 1j * imaginary
        if self.own["input_phase"]:
            vector = vector + heard / np.sqrt(np.abs(heard) ** 2 + 1e-6)
        clean = np.abs(spectrum) * self.gain(amplitude) * vector / np.abs(vector)
        return overlap_add(clean, window, hop, points)[length - hop : length - hop + len(x)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def overlap_add(spectrum, window, hop, points):
    total, weight = np.zeros(len(window) + spectrum.shape[1] * hop), np.zeros(len(window) + spectrum.shape[1] * hop)
    for n in range(spectrum.shape[1]):
        place = slice(n * hop, n * hop + len(window))
        total[place] += np.fft.irfft(spectrum[:, n], points)[: len(window)] * window
        weight[place] += window**2
    return total / np.maximum(weight, 1e-3)


@pytest.mark.parametrize("name", NETS)
def test_equals_a_plain_reading_of_the_paper(name):
    net = tiny(name).double()
    x = noise(731).double()
    with torch.inference_mode():
        np.testing.assert_allclose(net(x[None])[0].numpy(), Reading(net)(x.numpy()), atol=1e-6)


def count(own, *, layout, bins=257):
    """Trainable numbers, layer by layer."""
    a, p, r, h, d, q = (own[key] for key in ("channels", "phase_channels", "attention_channels", "recurrent", "dense", "squeeze"))

    def conv(i, o, taps=1):
        return i * o * taps + o

    opened = layout == "huyanxin"
    weighed = a if opened else bins
    ftb = conv(a, r) + 2 * r + conv(r * bins, weighed, own["attention_kernel"]) + 2 * weighed + bins**2 + conv(2 * a, a) + 2 * a
    amplitude = 2 * ftb + 3 * (conv(a, a, 25) + 2 * a)
    phase = conv(p, p, 25 if opened else 15) + conv(p, p, 25) + 4 * p
    block = amplitude + phase + conv(p, a) + conv(a, p)
    before = conv(2, a, 7) + conv(a, a, 7) + 4 * a + conv(2, p, 15) + conv(p, p, 75 if opened else 25)
    behind = conv(a, q) + 2 * q + conv(p, 2) + 8 * h * (q * bins + h + 2) + conv(2 * h, d) + conv(d, d) + conv(d, bins)
    return before + own["blocks"] * block + behind


def parameters(**arguments):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Phasen(**arguments).parameters())


def test_parameter_counts():
    # What github.com/huyanxin/phasen has with a BiLSTM in the place of its GRU: as it stands, and with the widths of the paper.
    assert parameters(size="huyanxin") == 8_774_935
    assert parameters(size="huyanxin", channels=96, phase_channels=48, recurrent=600) == 23_861_203
    # The paper's attention weighs 257 bins, not 96 channels: six matrices of 5 * 257 * 9 * 161 more, and smaller phase kernels.
    assert parameters() == 34_851_571 == count(SIZES["paper"], layout="paper")
    assert parameters(size="small") == 2_379_063 == count(SIZES["small"], layout="paper")
    assert count(SIZES["huyanxin"], layout="huyanxin") == 8_774_935
    assert parameters(size="small", causal=True) == 1_769_783


# ---------------------------------------------------------------------------------------------------------- promises


@pytest.mark.parametrize("name", NETS)
def test_batch_is_single(name):
    net = tiny(name)
    items = [noise(samples, seed=samples) * 10.0**-number for number, samples in enumerate((1500, 1, 333, 20, 901))]
    lengths = torch.tensor([len(item) for item in items])
    batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=7.0)  # padding is not heard, so not silent
    with torch.inference_mode():
        together = net(batch, lengths)
        for item, clean in zip(items, together, strict=True):
            alone = net(item[None])[0]
            assert (clean[: len(item)] - alone).abs().max() <= 1e-5 * item.abs().max()
            assert not clean[len(item) :].any()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_finite_on_hard_input(name, training):
    hard = {
        "silence": torch.zeros(2, 400),
        "one sample": torch.tensor([[0.5], [0.0]]),
        "full-scale noise": torch.sign(noise(2, 400)),
        "a click": torch.nn.functional.one_hot(torch.tensor([200, 0]), 400).float(),
        "hardly anything": torch.full((2, 400), 1e-30),
    }
    for word, waveform in hard.items():
        net = tiny(name).train(training)
        waveform.requires_grad_()
        clean = net(waveform)
        clean.square().sum().backward()
        assert clean.shape == waveform.shape
        assert torch.isfinite(clean).all(), word
        assert torch.isfinite(waveform.grad).all(), word
        assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters()), word
        if word == "silence":
            assert not clean.any()


@pytest.mark.parametrize("name", NETS)
def test_every_weight_learns(name):
    net = tiny(name).train()
    waveform = noise(2, 2000).requires_grad_()
    net(waveform).square().sum().backward()
    # A bias in front of a norm is taken off again by it: its gradient is 0 but for rounding.
    dead = [key for key, parameter in net.named_parameters() if not parameter.grad.any()]
    assert dead == []
    assert (waveform.grad != 0).all()


@pytest.mark.parametrize("name", NETS)
def test_output_scales_with_input(name):
    net = tiny(name)
    x = noise(1, 1200)
    with torch.inference_mode():
        clean = net(x)
        for scale in (1e-4, 3.0, 1000.0):
            assert torch.allclose(net(scale * x) / scale, clean, atol=1e-6)


def test_mask_is_positive_and_bounded_only_if_asked():
    x = noise(1, 1000)
    for bounded in (True, False):
        net = tiny(bounded=bounded)
        torch.nn.init.constant_(net.dense[4].bias, 3.0)
        with torch.inference_mode():
            before = net.frames.analyse(x).norm(dim=1)
            behind = net.estimate(x).norm(dim=1)
        ratio = (behind / before)[before > 1e-3]
        assert (ratio > 0).all()
        assert bool((ratio <= 1 + 1e-5).all()) == bounded


def test_a_later_sample_is_heard_by_a_causal_net_within_its_window_only():
    x = noise(1, 1200)
    other = x.clone()
    other[:, 800:] = noise(1, 400, seed=1)
    with torch.inference_mode():
        for causal in (True, False):
            net = tiny(causal=causal)
            moved = (net(x) - net(other))[0].abs() > 1e-6
            first = int(moved.nonzero()[0])
            assert (800 - TINY["window_length"] < first < 800) if causal else first < 50


@pytest.mark.parametrize("name", NETS)
def test_spec_rebuilds_the_net(name):
    net = tiny(name)
    again = registry.build("enhancement", json.loads(json.dumps(net.spec))).eval()
    assert again.spec == net.spec
    again.load_state_dict(net.state_dict())
    x = noise(1, 500)
    with torch.inference_mode():
        assert torch.equal(again(x), net(x))


def test_presets():
    paper, opened, small, causal = Phasen(), Phasen("huyanxin"), Phasen("small"), Phasen("small", causal=True)
    shapes = [(net.frames.length, net.frames.hop, net.frames.n_fft) for net in (paper, opened, small, causal)]
    assert shapes == [(400, 160, 512), (400, 100, 512), (512, 256, 512), (512, 256, 512)]
    assert Phasen("small", causal=True, hop=128).delay == 384
    assert (paper.sample_rate, Phasen("small", sample_rate=8000).sample_rate) == (16000, 8000)


def test_norm_of_a_padded_batch_in_training_counts_no_padding():
    torch.manual_seed(0)
    ours, plain = MaskedBatchNorm2d(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(2, 3, 5, 8)
    mask = torch.arange(8) < torch.tensor([8, 3])[:, None, None]
    inside = plain(torch.cat([x[0], x[1, :, :, :3]], dim=2)[None])
    padded = ours(x, mask)
    assert torch.allclose(padded[0], inside[0, :, :, :8], atol=1e-6)
    assert torch.allclose(padded[1, :, :, :3], inside[0, :, :, 8:], atol=1e-6)
    assert torch.allclose(ours.running_var, plain.running_var)


def test_half_precision_keeps_float32_outside():
    net = tiny("small")
    x = noise(1, 900)
    with torch.inference_mode():
        full = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x, torch.tensor([900]))
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": "smal"}, "did you mean 'small'"),
        ({"layout": "papers"}, "Known: huyanxin, paper"),
        ({"channels": 0}, "channels must be 1 or more"),
        ({"attention_kernel": 4}, "must be odd"),
        ({"compression": 0.0}, r"\(0, 1\]"),
        ({"hop": 400}, "smaller hop"),
        ({"bounded": "yes"}, "true or false"),
        ({"width": 3}, "unknown argument"),
    ],
)
def test_refuses_what_makes_no_net(arguments, words):
    with pytest.raises(ConfigError, match=words):
        registry.build("enhancement", {"name": "phasen", **arguments})


def test_refuses_other_shapes():
    net = tiny()
    for waveform, lengths in (
        (noise(5), None),
        (noise(1, 0), None),
        (noise(2, 5), torch.tensor([5])),
        (noise(1, 5), torch.tensor([6])),
    ):
        with pytest.raises(ModelError) as error:
            net(waveform, lengths)
        assert error.value.code == "E_SHAPE"
