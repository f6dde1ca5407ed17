"""voxid.features.normalize against numpy and torch's instance norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.features.normalize import clip_range, normalize

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


def test_instance_is_torchs(features):
    torch.testing.assert_close(normalize(features, "instance"), torch.nn.InstanceNorm1d(5)(features))


def test_what_stands_in_the_padding_does_not_show(features):
    other = features.clone()
    other[0, :, 7:] = 1e6
    for kind in ("none", "mean", "mean_var", "instance"):
        torch.testing.assert_close(normalize(other, kind, torch.tensor(FRAMES)), normalize(features, kind, torch.tensor(FRAMES)))


def test_the_range_is_that_of_the_items_own_frames(features):
    features[0, :, 7:] = 1000
    clipped = clip_range(features, 1.0, torch.tensor(FRAMES))
    for item, frames, out in zip(features, FRAMES, clipped, strict=True):
        own = item[:, :frames]
        torch.testing.assert_close(out[:, :frames], own.clamp(min=float(own.max()) - 1.0))
