"""Masks, swaps and warps: where, how wide, and for each item anew or for all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from voxid.errors import ConfigError
from voxid.features.specaugment import specaugment

NONE = {"freq_masks": 0, "time_masks": 0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_masks_are_bands_no_wider_than_asked_for() -> None:
    generator = seeded()
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


def test_nothing_on_changes_nothing_and_short_features_are_fine() -> None:
    features = torch.randn(2, 80, 5)
    assert torch.equal(specaugment(features, torch.Generator(), **NONE), features)
    assert specaugment(features, torch.Generator(), time_width=50).shape == features.shape
    for frames in (1, 2, 3):
        everything = specaugment(features[:, :, :frames], seeded(), time_swaps=2, freq_swaps=2, time_warp=5)
        assert everything.shape == (2, 80, frames)
        assert torch.isfinite(everything).all()


@pytest.mark.parametrize(("axis", "name", "width"), [(1, "freq", 12), (2, "time", 30)])
def test_a_swap_exchanges_two_stretches_of_one_width(axis: int, name: str, width: int) -> None:
    size, widths = (80, 100)[axis - 1], set()
    index = torch.arange(size).float().view([1, -1, 1] if axis == 1 else [1, 1, -1]).expand(16, 80, 100)
    for seed in range(30):
        out = specaugment(index, seeded(seed), **NONE, **{f"{name}_swaps": 1, f"{name}_swap_width": width})
        orders = out.select(3 - axis, 0).long().numpy()
        for order, whole in zip(orders, out, strict=True):
            assert sorted(order) == list(range(size))
            assert torch.equal(whole, whole.select(2 - axis, 0).unsqueeze(2 - axis).expand_as(whole))
            moved = np.flatnonzero(order != np.arange(size))
            span = len(moved) // 2
            widths.add(span)
            if span:
                expected = np.arange(size)
                first, second = moved[:span], moved[span:]
                expected[first], expected[second] = second, first
                np.testing.assert_array_equal(order, expected)
                assert (np.diff(first) == 1).all()
                assert (np.diff(second) == 1).all()
    assert widths == set(range(width + 1))


def test_a_swap_is_never_wider_than_half() -> None:
    for size in (1, 2, 5):
        features = torch.arange(size).float().expand(64, 3, size)
        out = specaugment(features, seeded(), **NONE, time_swaps=1, time_swap_width=50)
        assert torch.equal(out.sort(dim=2).values, features)


def test_warping_bends_time_linearly_on_both_sides_of_a_moment() -> None:
    ramp = torch.arange(200.0).expand(32, 4, 200)
    out = specaugment(ramp, seeded(), **NONE, time_warp=30)
    assert torch.allclose(out[:, :, 0], torch.zeros(1))
    assert torch.allclose(out[:, :, -1], torch.full((1,), 199.0), atol=1e-3)
    slopes = out[:, 0].diff(dim=1)
    assert (slopes > 0).all()
    for slope in slopes:  # two slopes, one bend between two frames
        assert int((slope.diff().abs() > 1e-3).sum()) <= 2
    assert 0 < (out - ramp).abs().amax() <= 30 + 1e-3
    assert len({round(float(row.abs().max()), 3) for row in out[:, 0] - ramp[:, 0]}) > 20


def test_warping_reads_between_the_frames() -> None:
    features = torch.randn(3, 5, 60)
    ramp = torch.arange(60.0).expand(3, 1, 60)
    both = specaugment(torch.cat([features, ramp], dim=1), seeded(), **NONE, time_warp=10)
    for item in range(3):
        place = both[item, 5].numpy()
        for row in range(5):
            expected = np.interp(place, np.arange(60), features[item, row].numpy())
            np.testing.assert_allclose(both[item, row].numpy(), expected, atol=1e-4)


EVERYTHING: dict[str, Any] = {"time_warp": 10, "freq_swaps": 1, "time_swaps": 2, "freq_masks": 2, "time_masks": 2}


def test_the_policy_decides_whether_items_are_alike() -> None:
    features = torch.randn(1, 80, 200).expand(6, -1, -1)
    each = specaugment(features, seeded(), **EVERYTHING)
    assert not any(torch.equal(each[0], other) for other in each[1:])
    same = specaugment(features, seeded(), **EVERYTHING, policy="batch")
    assert torch.equal(same, same[:1].expand_as(same))
    assert not torch.equal(same[0], features[0])
    assert torch.equal(same, specaugment(features, seeded(), **EVERYTHING, policy="batch"))


def test_masks_are_drawn_as_without_swaps_and_warps() -> None:
    plain, more = (
        specaugment(torch.ones(4, 80, 200), seeded(), **options) for options in ({}, {"freq_swaps": 1, "time_warp": 9})
    )
    torch.testing.assert_close(plain, more)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"freq_masks": -1}, "0 or more"),
        ({"time_swap_width": -1}, "0 or more"),
        ({"time_warp": -1}, "0 or more"),
        ({"policy": "batches"}, "did you mean 'batch'"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        specaugment(torch.ones(1, 8, 8), seeded(), **options)
