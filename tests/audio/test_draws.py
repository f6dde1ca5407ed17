"""Draws: each item its own, or one for all."""

from __future__ import annotations

import torch

from voxid.audio.draws import Draw


def test_each_has_its_own_or_all_have_one() -> None:
    for same in (False, True):
        draw = Draw(torch.Generator().manual_seed(0), 1000, same)
        chosen = draw.chance(0.3)
        assert chosen.shape == (1000,)
        assert draw.chance(1.0).all()
        share = chosen.float().mean().item()
        assert share in (0.0, 1.0) if same else 0.25 < share < 0.35
        everyone = torch.ones(1000, dtype=torch.bool)
        assert draw.count(everyone) == (1 if same else 1000)
        values = draw.uniform((2.0, 3.0), everyone, 4)
        assert values.shape == ((1, 4) if same else (1000, 4))
        assert 2 <= values.min() <= values.max() <= 3
        assert draw.index(5, everyone).max() < 5
        assert draw.index(5, ~everyone).shape == (0,)


def test_one_for_all_is_met_as_often_as_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    met = [bool(Draw(generator, 4, True).chance(0.3).all()) for _ in range(1000)]
    assert 250 < sum(met) < 350


def test_a_share_of_nothing_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert not Draw(generator, 4, False).chance(0.0).any()
    assert torch.equal(generator.get_state(), before)


def test_others_are_others() -> None:
    draw = Draw(torch.Generator().manual_seed(0), 5, False)
    chosen = torch.tensor([True, False, True, True, False])
    for _ in range(50):
        weights = draw.others(chosen, 2, 9)
        assert weights.shape == (3, 5)
        assert weights[[0, 1, 2], [0, 2, 3]].tolist() == [0, 0, 0]
        assert set(weights.unique().tolist()) <= {0.0, 1.0}
        assert 2 <= weights.sum(dim=1).min() <= weights.sum(dim=1).max() <= 4
