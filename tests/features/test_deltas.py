"""voxid.features.deltas against plain loops over HTK's and Kaldi's definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.features.deltas import add_deltas
from voxid.features.fbank import fbank
from voxid.features.mfcc import mfcc
from voxid.features.options import FrontendOptions

FRAMES = [9, 1, 4]


def htk(x: np.ndarray, window: int) -> np.ndarray:
    """Slopes of x [F, N]: sum of k (x[t + k] - x[t - k]) over 2 sum of k^2, the outermost frame standing for those beyond."""
    size = x.shape[1]
    out = np.zeros_like(x)
    for t in range(size):
        for k in range(1, window + 1):
            out[:, t] += k * (x[:, min(t + k, size - 1)] - x[:, max(t - k, 0)])
    return out / (2 * sum(k**2 for k in range(1, window + 1)))


def kaldi_scales(order: int, window: int) -> np.ndarray:
    """Kaldi's filter of an order: the regression's weights, convolved with themselves."""
    scales, once = np.ones(1), np.arange(-window, window + 1) / sum(k**2 for k in range(-window, window + 1))
    for _ in range(order):
        scales = np.convolve(scales, once)
    return scales


def kaldi_deltas(x: np.ndarray, order: int, window: int) -> np.ndarray:
    scales = kaldi_scales(order, window)
    reach = len(scales) // 2
    out = np.zeros_like(x)
    for t in range(x.shape[1]):
        for offset in range(-reach, reach + 1):
            out[:, t] += scales[offset + reach] * x[:, min(max(t + offset, 0), x.shape[1] - 1)]
    return out


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(3, 5, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
def test_htks(features, window, padded):
    options = FrontendOptions(deltas=2, delta_window=window)
    ours = add_deltas(features, options, torch.tensor(FRAMES) if padded else None)
    for item, frames, out in zip(features.double().numpy(), FRAMES if padded else [9] * 3, ours, strict=True):
        own = item[:, :frames]
        first = htk(own, window)
        np.testing.assert_allclose(out[:, :frames], np.concatenate([own, first, htk(first, window)]), atol=1e-6)


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
def test_kaldis(features, window, padded):
    options = FrontendOptions(deltas=2, delta_window=window, delta_edges="kaldi")
    ours = add_deltas(features, options, torch.tensor(FRAMES) if padded else None)
    for item, frames, out in zip(features.double().numpy(), FRAMES if padded else [9] * 3, ours, strict=True):
        own = item[:, :frames]
        expected = np.concatenate([kaldi_deltas(own, order, window) for order in (0, 1, 2)])
        np.testing.assert_allclose(out[:, :frames], expected, atol=1e-6)


def test_the_two_differ_at_the_ends_alone(features):
    long = torch.randn(1, 3, 30)
    htks, kaldis = (add_deltas(long, FrontendOptions(deltas=2, delta_edges=edges)) for edges in ("htk", "kaldi"))
    torch.testing.assert_close(htks[:, :, 2:-2], kaldis[:, :, 2:-2])
    assert (htks[:, 6:, :2] - kaldis[:, 6:, :2]).abs().max() > 0.01


def test_without_the_norm_it_is_asvspoofs_difference(features):
    ours = add_deltas(features, FrontendOptions(deltas=1, delta_window=1, delta_norm=False))[0, 5:].numpy()
    x = np.pad(features[0].numpy(), ((0, 0), (1, 1)), "edge")
    np.testing.assert_allclose(ours, x[:, 2:] - x[:, :-2], atol=1e-6)


def test_of_an_mfcc(kaldi):
    x = kaldi.example()
    ours = mfcc(torch.from_numpy(x)[None], preset="kaldi", deltas=2)[0]
    static = kaldi.kaldi_features("mfcc", x, {}).astype(np.float64)
    np.testing.assert_allclose(ours, np.concatenate([kaldi_deltas(static, order, 2) for order in (0, 1, 2)]), atol=2e-3)


def test_of_a_filter_bank_come_before_its_normalisation(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    plain = fbank(x, preset="kaldi")[0].double().numpy()
    expected = np.concatenate([plain, htk(plain, 3)])
    expected = (expected - expected.mean(1, keepdims=True)) / np.sqrt(expected.var(1, keepdims=True) + 1e-8)
    ours = fbank(x, preset="kaldi", deltas=1, delta_window=3, delta_edges="htk", normalize="mean_var")[0]
    np.testing.assert_allclose(ours, expected, atol=1e-3)
