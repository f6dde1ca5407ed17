"""Masks: where, how wide, and for each item anew."""

from __future__ import annotations

import torch

from voxid.features.specaugment import specaugment


def test_masks_are_bands_no_wider_than_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    widths, heights = [], []
    for _ in range(50):
        masked = specaugment(torch.ones(8, 80, 200), generator, freq_masks=1, freq_width=10, time_masks=1, time_width=20) == 0
        rows, columns = masked.all(dim=2), masked.all(dim=1)
        assert torch.equal(masked, rows[:, :, None] | columns[:, None, :])
        assert (rows.int().diff(dim=1).abs().sum(dim=1) <= 2).all()
        heights += rows.sum(dim=1).tolist()
        widths += columns.sum(dim=1).tolist()
    assert (max(heights), max(widths)) == (10, 20)
    assert min(heights) == min(widths) == 0
    assert len(set(heights)) == 11


def test_no_masks_change_nothing_and_short_features_are_fine() -> None:
    features = torch.randn(2, 80, 5)
    assert torch.equal(specaugment(features, torch.Generator(), freq_masks=0, time_masks=0), features)
    assert specaugment(features, torch.Generator(), time_width=50).shape == features.shape
