"""The Conformer against a plain reading in double precision, without masks and modules, of both norms and both orders.

That one always runs. The comparison with torchaudio runs where it can be imported.
"""

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.layers import frame_mask
from voxid.models.speaker.conformer import Conformer, MaskedBatchNorm, MaskedGroupNorm

VARIANTS = [(first, group) for first in (False, True) for group in (False, True)]


def conformer(first=False, group=False, *, width=16, layers=2, seed=0):
    """A small net with weights and statistics of every size."""
    torch.manual_seed(seed)
    net = Conformer(width, None, 2, 20, layers, 5, use_group_norm=group, convolution_first=first)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def reference(weights, x, *, first, group):
    """Frames [N, C] of one item [N, C] from a state dict."""
    w = {name: value.double() for name, value in weights.items()}

    def linear(name, x):
        matrix = w[name + ".weight"]
        return x @ matrix.reshape(matrix.shape[0], -1).T + w[name + ".bias"]

    def layer_norm(name, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5) ** 0.5 * w[name + ".weight"] + w[name + ".bias"]

    def silu(x):
        return x / (1 + (-x).exp())

    def feed_forward(name, x):
        return linear(f"{name}.4", silu(linear(f"{name}.1", layer_norm(f"{name}.0", x))))

    def attention(name, x, heads=2):
        query, key, value = (x @ w[f"{name}.in_proj_weight"].T + w[f"{name}.in_proj_bias"]).chunk(3, dim=1)
        width = x.shape[1] // heads
        mixed = []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            scores = (query[:, part] @ key[:, part].T / width**0.5).exp()
            mixed.append(scores / scores.sum(1, keepdim=True) @ value[:, part])
        return linear(f"{name}.out_proj", torch.cat(mixed, dim=1))

    def convolution(name, x):
        left, right = linear(f"{name}.sequential.0", layer_norm(f"{name}.layer_norm", x)).chunk(2, dim=1)
        gated = left / (1 + (-right).exp())
        kernel = w[f"{name}.sequential.2.weight"][:, 0]
        reach = kernel.shape[1] // 2
        edge = torch.zeros(reach, x.shape[1], dtype=torch.float64)
        padded = torch.cat([edge, gated, edge])
        y = w[f"{name}.sequential.2.bias"] + sum(kernel[:, tap] * padded[tap : tap + len(x)] for tap in range(2 * reach + 1))
        norm = f"{name}.sequential.3"
        mean, variance = (y.mean(), y.var(unbiased=False)) if group else (w[f"{norm}.running_mean"], w[f"{norm}.running_var"])
        y = (y - mean) / (variance + 1e-5) ** 0.5 * w[f"{norm}.weight"] + w[f"{norm}.bias"]
        return linear(f"{name}.sequential.5", silu(y))

    x = x.double()
    for place in range(len({name.split(".")[1] for name in w})):
        layer = f"conformer_layers.{place}"
        x = x + 0.5 * feed_forward(f"{layer}.ffn1.sequential", x)
        x = x + convolution(f"{layer}.conv_module", x) if first else x
        x = x + attention(f"{layer}.self_attn", layer_norm(f"{layer}.self_attn_layer_norm", x))
        x = x if first else x + convolution(f"{layer}.conv_module", x)
        x = layer_norm(f"{layer}.final_layer_norm", x + 0.5 * feed_forward(f"{layer}.ffn2.sequential", x))
    return x


@pytest.mark.parametrize(("first", "group"), VARIANTS)
@pytest.mark.parametrize("num_frames", [1, 3, 60])
def test_the_same_weights_give_the_same_frames(first, group, num_frames):
    net, x = conformer(first, group), torch.randn(2, 16, num_frames)
    with torch.no_grad():
        ours = net(x)
    for item in range(2):
        expected = reference(net.state_dict(), x[item].T, first=first, group=group)
        torch.testing.assert_close(ours[item].T.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("first", "group"), VARIANTS)
def test_a_padded_item_gives_the_same_frames(first, group):
    net, lengths = conformer(first, group), torch.tensor([40, 1, 23])
    x = torch.randn(3, 16, 40)
    x[1, :, 1:], x[2, :, 23:] = 100.0, -100.0
    with torch.no_grad():
        ours = net(x, frame_mask(lengths, 40))
    for item, length in enumerate(lengths):
        expected = reference(net.state_dict(), x[item, :, :length].T, first=first, group=group)
        torch.testing.assert_close(ours[item, :, :length].T.double(), expected, atol=1e-5, rtol=1e-5)


def test_padding_does_not_reach_the_statistics_of_training():
    lengths = torch.tensor([30, 4, 17])
    mask = frame_mask(lengths, 30)
    x = torch.randn(3, 16, 30)
    quiet, loud = conformer().train(), conformer().train()
    a, b = quiet(x * mask, mask), loud(torch.where(mask, x, 100.0), mask)
    torch.testing.assert_close(a * mask, b * mask, atol=1e-5, rtol=0)
    for (name, one), other in zip(quiet.state_dict().items(), loud.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)
    b.square().mul(mask).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in loud.parameters())


def test_masked_batch_norm_is_batch_norm_over_the_frames_inside():
    ours, plain = MaskedBatchNorm(6), torch.nn.BatchNorm1d(6)
    lengths = [9, 2, 5]
    x = 3 * torch.randn(3, 6, 9) + 1
    y = ours(x, frame_mask(torch.tensor(lengths), 9))
    inside = torch.cat([x[item, :, :length].T for item, length in enumerate(lengths)])
    got = torch.cat([y[item, :, :length].T for item, length in enumerate(lengths)])
    torch.testing.assert_close(got, plain(inside), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, plain.running_mean)
    torch.testing.assert_close(ours.running_var, plain.running_var)


def test_masked_group_norm_is_group_norm_of_each_item_alone():
    norm = MaskedGroupNorm(1, 6)
    torch.nn.init.normal_(norm.weight)
    x, lengths = 3 * torch.randn(3, 6, 9) + 1, [9, 2, 5]
    y = norm(x, frame_mask(torch.tensor(lengths), 9))
    for item, length in enumerate(lengths):
        alone = torch.nn.functional.group_norm(x[item : item + 1, :, :length], 1, norm.weight, norm.bias)[0]
        torch.testing.assert_close(y[item, :, :length], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("first", "group"), VARIANTS)
def test_torchaudio_gives_the_same_frames(first, group):
    """Skipped without torchaudio, which is no dependency. It was run, and passed, with torchaudio 2.11.0 beside torch 2.13:
    ``pip install --no-deps --target DIR torchaudio==2.11.0``, without its compiled files, which ask for another torch
    (``rm DIR/torchaudio/lib/*.so``), then ``PYTHONPATH=DIR pytest tests/models/test_conformer.py``.
    """
    try:
        from torchaudio.models import Conformer as Theirs
    except (ImportError, OSError) as error:  # its extension refuses to load beside another torch: OSError
        pytest.skip(f"torchaudio cannot be imported: {error}")
    ours = conformer(first, group)
    theirs = Theirs(16, 2, 20, 2, 5, use_group_norm=group, convolution_first=first).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 16, 50)
    with torch.no_grad():
        expected = theirs(x.transpose(1, 2), torch.tensor([50, 50]))[0].transpose(1, 2)
        torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


def test_names_are_those_of_torchaudio():
    pairs = ["ffn1.sequential.0", "ffn1.sequential.1", "ffn1.sequential.4", "self_attn_layer_norm", "self_attn.out_proj"]
    pairs += ["conv_module.layer_norm", *(f"conv_module.sequential.{place}" for place in (0, 2, 3, 5))]
    pairs += ["ffn2.sequential.0", "ffn2.sequential.1", "ffn2.sequential.4", "final_layer_norm"]
    names = {f"{pair}.{part}" for pair in pairs for part in ("weight", "bias")}
    names |= {"self_attn.in_proj_weight", "self_attn.in_proj_bias"}
    names |= {f"conv_module.sequential.3.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(Conformer(8, None, 2, 8, 2).state_dict()) == {f"conformer_layers.{i}.{name}" for i in (0, 1) for name in names}
    report = Conformer(40, 8, 2, 8, 2).load_state_dict(Conformer(8, None, 2, 8, 2).state_dict(), strict=False)
    assert report.missing_keys == ["prenet.weight", "prenet.bias"]
    assert report.unexpected_keys == []


def test_parameters_of_the_ladder():
    """The Conformer of HW4: Linear 40 -> 224, three layers, BatchNorm, Linear 224 -> 600: 1,923,608 parameters."""
    net = Conformer(40)
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in net.conformer_layers]
    assert counts == [592_992] * 3
    assert sum(parameter.numel() for parameter in net.parameters()) + 2 * 224 + (224 * 600 + 600) == 1_923_608


@pytest.mark.parametrize("bad", [{"kernel_size": 4}, {"kernel_size": 0}, {"num_heads": 3}, {"num_layers": 0}])
def test_wrong_arguments_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        registry.build("backbone", {"name": "conformer", "input_dim": 40} | bad)
