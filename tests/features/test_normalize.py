"""voxid.features.normalize against numpy and torch's instance norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.features.normalize import clip_range, normalize, sliding_mean

FRAMES = [7, 1, 12]


@pytest.fixture
def features() -> torch.Tensor:
    return 3 + 2 * torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("kind", "floor"), [("none", 0), ("mean", 0), ("mean_var", 1e-8), ("instance", 1e-5)])
def test_each_item_over_its_own_frames(features, kind, floor):
    ours = normalize(features, kind, torch.tensor(FRAMES)).numpy()
    for item, frames, out in zip(features.numpy(), FRAMES, ours, strict=True):
        x = item[:, :frames].astype(np.float64)
        if kind != "none":
            x = x - x.mean(axis=1, keepdims=True)
        if floor:
            x = x / np.sqrt(x.var(axis=1, keepdims=True) + floor)
        np.testing.assert_allclose(out[:, :frames], x, atol=1e-5)
        assert not out[:, frames:].any()


def kaldis_sliding_mean(x: np.ndarray, window: int) -> np.ndarray:
    """Means [F, N] as apply-cmvn-sliding with center=true finds its window, frame by frame."""
    size = x.shape[1]
    out = np.zeros_like(x)
    for t in range(size):
        start = t - window // 2
        stop = start + window
        if start < 0:
            start, stop = 0, stop - start
        if stop > size:
            start, stop = max(0, start - (stop - size)), size
        out[:, t] = x[:, start:stop].mean(axis=1)
    return out


@pytest.mark.parametrize("window", [1, 2, 3, 6, 7, 11, 12, 300])
@pytest.mark.parametrize("padded", [True, False])
def test_sliding_is_kaldis(features, window, padded):
    ours = normalize(features, "sliding", torch.tensor(FRAMES) if padded else None, window)
    for item, frames, out in zip(features.double().numpy(), FRAMES if padded else [12] * 3, ours, strict=True):
        own = item[:, :frames]
        np.testing.assert_allclose(out[:, :frames], own - kaldis_sliding_mean(own, window), atol=1e-6)
        assert not out[:, frames:].any()


def test_sliding_stays_accurate_over_an_hour():
    x = 20 + torch.randn(1, 2, 360_000, generator=torch.Generator().manual_seed(0))
    means = sliding_mean(x, 300)[0, :, 300_000].numpy()
    np.testing.assert_allclose(means, x[0, :, 299_850:300_150].double().mean(dim=1), atol=2e-6)


def test_sliding_has_the_gradient_of_its_values():
    x = torch.randn(2, 2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: normalize(y, "sliding", torch.tensor([9, 5]), 4), x)


def test_instance_is_torchs(features):
    torch.testing.assert_close(normalize(features, "instance"), torch.nn.InstanceNorm1d(5)(features))


def test_what_stands_in_the_padding_does_not_show(features):
    other = features.clone()
    other[0, :, 7:] = 1e6
    for kind in ("none", "mean", "mean_var", "instance", "sliding"):
        torch.testing.assert_close(normalize(other, kind, torch.tensor(FRAMES)), normalize(features, kind, torch.tensor(FRAMES)))


def test_the_range_is_that_of_the_items_own_frames(features):
    features[0, :, 7:] = 1000
    clipped = clip_range(features, 1.0, torch.tensor(FRAMES))
    for item, frames, out in zip(features, FRAMES, clipped, strict=True):
        own = item[:, :frames]
        torch.testing.assert_close(out[:, :frames], own.clamp(min=float(own.max()) - 1.0))
