"""Poolings against plain NumPy, item by item."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.pooling import (
    AttentiveStatisticsPooling,
    MultiHeadPooling,
    MultiQueryMultiHeadPooling,
    SelfAttentivePooling,
    TemporalAveragePooling,
    TemporalStatisticsPooling,
    XiPooling,
)

POOLINGS = registry.names("pooling")


def plain(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().double().numpy()


def weighted(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of x [C, N] under weights [C or 1, N]."""
    mean = (weights * x).sum(axis=1)
    return mean, np.sqrt((weights * x**2).sum(axis=1) - mean**2)


def test_average_and_statistics() -> None:
    x = torch.randn(2, 3, 50)
    np.testing.assert_allclose(TemporalAveragePooling(3)(x), x.numpy().mean(axis=2), atol=1e-6)
    for ddof in (0, 1):
        expected = np.concatenate([x.numpy().mean(axis=2), x.numpy().std(axis=2, ddof=ddof)], axis=1)
        np.testing.assert_allclose(TemporalStatisticsPooling(3, unbiased=bool(ddof))(x), expected, atol=1e-5)


def test_attention_with_context_is_what_the_paper_says() -> None:
    torch.manual_seed(0)
    pooling = AttentiveStatisticsPooling(4, bottleneck=5)
    x = torch.randn(2, 4, 30)
    w, b = plain(pooling.linear1.weight)[:, :, 0], plain(pooling.linear1.bias)
    v, k = plain(pooling.linear2.weight)[:, :, 0], plain(pooling.linear2.bias)
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        mean, std = item.mean(axis=1, keepdims=True), item.std(axis=1, ddof=1, keepdims=True)
        stacked = np.concatenate([item, mean.repeat(30, axis=1), std.repeat(30, axis=1)])  # 3C x N, as drawn in the paper
        weights = softmax(v @ np.tanh(w @ stacked + b[:, None]) + k[:, None], axis=1)
        np.testing.assert_allclose(got, np.concatenate(weighted(item, weights)), atol=1e-5)


def test_attention_without_context() -> None:
    torch.manual_seed(0)
    pooling = AttentiveStatisticsPooling(4, bottleneck=5, context=False)
    x = torch.randn(2, 4, 30)
    w, b, v = plain(pooling.linear1.weight)[:, :, 0], plain(pooling.linear1.bias), plain(pooling.linear2.weight)[:, :, 0]
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        weights = softmax(v @ np.tanh(w @ item + b[:, None]), axis=1)  # the last bias is the same at all frames: it cancels
        np.testing.assert_allclose(got, np.concatenate(weighted(item, weights)), atol=1e-5)


def test_self_attention() -> None:
    torch.manual_seed(0)
    pooling = SelfAttentivePooling(4, bottleneck=5)
    x = 3 * torch.randn(2, 4, 30)
    w, b, context = plain(pooling.linear.weight)[:, :, 0], plain(pooling.linear.bias), plain(pooling.context.weight)[0, :, 0]
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        scores = [context @ np.tanh(w @ frame + b) for frame in item.T]
        np.testing.assert_allclose(got, (softmax(scores) * item).sum(axis=1), atol=1e-5)


def test_every_head_has_weights_of_its_own() -> None:
    torch.manual_seed(0)
    pooling = MultiHeadPooling(6, heads=3)
    x = 3 * torch.randn(2, 6, 30)
    query = plain(pooling.query.weight)[:, :, 0]  # one row a head, as wide as the head
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        heads = [item[0:2], item[2:4], item[4:6]]
        expected = [(softmax(row @ head) * head).sum(axis=1) for row, head in zip(query, heads, strict=True)]
        np.testing.assert_allclose(got, np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("per_channel", [True, False])
def test_every_query_looks_at_every_head(per_channel: bool) -> None:
    torch.manual_seed(0)
    heads, queries, hidden, width = 2, 3, 4, 3
    pooling = MultiQueryMultiHeadPooling(heads * width, heads, queries, bottleneck=hidden, per_channel=per_channel)
    x = 2 * torch.randn(2, heads * width, 25)
    rows = width if per_channel else 1
    w, b = plain(pooling.linear1.weight)[:, :, 0], plain(pooling.linear1.bias)
    v, k = plain(pooling.linear2.weight)[:, :, 0], plain(pooling.linear2.bias)
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        expected = []
        for query in range(queries):
            for head in range(heads):
                pair, part = head * queries + query, item[head * width : (head + 1) * width]
                first, second = slice(pair * hidden, (pair + 1) * hidden), slice(pair * rows, (pair + 1) * rows)
                scores = v[second] @ np.tanh(w[first] @ part + b[first, None]) + k[second, None]
                expected += weighted(part, softmax(scores, axis=1))
        np.testing.assert_allclose(got, np.concatenate(expected), atol=1e-5)
    assert got.shape == (pooling.output_dim,)


def test_mqmha_has_the_size_of_the_reference() -> None:
    """wespeaker's MQMHASTP(5120) with its defaults: 16 pairs of query and head, each 640 x 64 + 64 and 64 x 640 + 640."""
    assert sum(parameter.numel() for parameter in MultiQueryMultiHeadPooling(5120).parameters()) == 1_321_984


@pytest.mark.parametrize("deviation", [False, True])
def test_xi_is_the_posterior_of_a_gaussian(deviation: bool) -> None:
    torch.manual_seed(0)
    pooling = XiPooling(4, bottleneck=5, deviation=deviation).eval()
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 4, 30)
    w, b = plain(pooling.linear1.weight)[:, :, 0], plain(pooling.linear1.bias)
    v, k = plain(pooling.linear2.weight)[:, :, 0], plain(pooling.linear2.bias)
    gain, shift = plain(pooling.bn.weight)[:, None] / np.sqrt(1 + pooling.bn.eps), plain(pooling.bn.bias)[:, None]
    prior, prior_precision = plain(pooling.prior_mean), np.exp(plain(pooling.prior_log_precision))
    for item, got in zip(plain(x), pooling(x).detach().numpy(), strict=True):
        hidden = np.maximum(w @ item + b[:, None], 0) * gain + shift
        precision = np.log1p(np.exp(v @ hidden + k[:, None])) ** 2
        weights = np.column_stack([precision, prior_precision]) / (precision.sum(axis=1) + prior_precision)[:, None]
        expected = weighted(np.column_stack([item, prior]), weights)
        np.testing.assert_allclose(got, np.concatenate(expected if deviation else expected[:1]), atol=1e-4)


@pytest.mark.parametrize("name", POOLINGS)
def test_the_padding_weighs_nothing(name: str) -> None:
    torch.manual_seed(0)
    pooling = registry.build("pooling", name, channels=16).eval()
    x, mask = torch.randn(2, 16, 20), torch.ones(2, 1, 20, dtype=torch.bool)
    mask[1, :, 7:] = False
    x[1, :, 7:] = 1e3
    got = pooling(x, mask)
    assert torch.allclose(got[0], pooling(x[:1])[0], atol=1e-5)
    assert torch.allclose(got[1], pooling(x[1:, :, :7])[0], atol=1e-5)
    assert got.shape == (2, pooling.output_dim)


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("level", [0.0, 1.0, 1e4])
def test_constant_input_has_a_finite_gradient(name: str, level: float) -> None:
    torch.manual_seed(0)
    pooling = registry.build("pooling", name, channels=16)
    x = torch.full((2, 16, 10), level, requires_grad=True)
    pooling(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in pooling.parameters())


@pytest.mark.parametrize("name", ["mha", "mqmha"])
def test_heads_that_do_not_divide_the_channels_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="heads must divide the 20 channels"):
        registry.build("pooling", {"name": name, "heads": 3}, channels=20)
