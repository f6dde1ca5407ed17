"""Poolings against plain NumPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from voxid.models.pooling import AttentiveStatisticsPooling, TemporalAveragePooling, TemporalStatisticsPooling


def test_average_and_statistics() -> None:
    x = torch.randn(2, 3, 50)
    np.testing.assert_allclose(TemporalAveragePooling(3)(x), x.numpy().mean(axis=2), atol=1e-6)
    expected = np.concatenate([x.numpy().mean(axis=2), x.numpy().std(axis=2)], axis=1)
    np.testing.assert_allclose(TemporalStatisticsPooling(3)(x), expected, atol=1e-5)


def test_attention_with_context_is_what_the_paper_says() -> None:
    torch.manual_seed(0)
    pooling = AttentiveStatisticsPooling(4, bottleneck=5)
    x = torch.randn(2, 4, 30)
    h = x.numpy().astype(np.float64)
    w, b = pooling.linear1.weight.detach().numpy()[:, :, 0], pooling.linear1.bias.detach().numpy()
    v, k = pooling.linear2.weight.detach().numpy()[:, :, 0], pooling.linear2.bias.detach().numpy()
    for item, got in zip(h, pooling(x).detach().numpy(), strict=True):
        mean, std = item.mean(axis=1, keepdims=True), item.std(axis=1, ddof=1, keepdims=True)
        stacked = np.concatenate([item, mean.repeat(30, axis=1), std.repeat(30, axis=1)])  # 3C x N, as drawn in the paper
        weights = softmax(v @ np.tanh(w @ stacked + b[:, None]) + k[:, None], axis=1)
        first = (weights * item).sum(axis=1)
        second = np.sqrt((weights * item**2).sum(axis=1) - first**2)
        np.testing.assert_allclose(got, np.concatenate([first, second]), atol=1e-5)


def test_constant_input_has_a_finite_gradient() -> None:
    for pooling in (TemporalStatisticsPooling(3), AttentiveStatisticsPooling(3)):
        x = torch.ones(2, 3, 10, requires_grad=True)
        pooling(x).sum().backward()
        assert torch.isfinite(x.grad).all()
