"""Permutation-invariant training: against a loop over all orders, SciPy and torchmetrics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from voxid import registry
from voxid.errors import ConfigError, DataError
from voxid.losses import permutation
from voxid.losses.permutation import FEW, Pit, best_order, pairwise, reorder
from voxid.losses.signal import SiSdr, Snr


def waveforms(batch: int, sources: int, samples: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    target = torch.randn(batch, sources, samples, generator=draw)
    shuffled = torch.stack([item[torch.randperm(sources, generator=draw)] for item in target])
    return shuffled + 0.3 * torch.randn(target.shape, generator=draw), target


@settings(max_examples=40, deadline=None)
@given(st.integers(1, FEW + 2), st.integers(1, 3), st.integers(0, 999), st.booleans())
def test_it_is_the_best_of_all_orders(sources: int, batch: int, seed: int, tied: bool) -> None:
    cost = torch.randn(batch, sources, sources, generator=torch.Generator().manual_seed(seed))
    cost = cost.round() if tied else cost
    found, order = best_order(cost)
    assert (order.sort(1)[0] == torch.arange(sources)).all()
    for item, value, own in zip(cost.numpy(), found, order.tolist(), strict=True):
        all_orders = itertools.permutations(range(sources))
        least = min(np.mean([item[e, t] for t, e in enumerate(tried)]) for tried in all_orders)
        assert value.item() == pytest.approx(least, abs=1e-5)
        assert np.mean([item[e, t] for t, e in enumerate(own)]) == pytest.approx(least, abs=1e-5)


def test_few_and_many_sources_agree() -> None:
    cost = torch.randn(20, FEW, FEW, generator=torch.Generator().manual_seed(0))
    assert permutation._hungarian(cost).tolist() == permutation._tried(cost).tolist()


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_it_is_that_of_torchmetrics(sources: int) -> None:
    audio = pytest.importorskip("torchmetrics.functional.audio")
    estimate, target = waveforms(3, sources)
    ratio = audio.scale_invariant_signal_noise_ratio
    value, places = audio.permutation_invariant_training(estimate, target, ratio, eval_func="max")
    loss, order = Pit({"name": "si_sdr", "clamp": None}).solve(estimate, target)
    torch.testing.assert_close(loss, -value, rtol=1e-4, atol=1e-3)
    assert order.tolist() == places.tolist()
    torch.testing.assert_close(reorder(estimate, order), audio.pit_permutate(estimate, places))


@pytest.mark.parametrize("sources", [2, FEW + 1])
def test_the_order_finds_the_sources_again_and_the_gradient_goes_through_it(sources: int) -> None:
    estimate, target = waveforms(2, sources)
    estimate.requires_grad_()
    loss, order = Pit().solve(estimate, target)
    found = reorder(estimate, order)
    assert ((found - target).square().mean(-1) < 0.2).all()
    torch.testing.assert_close(loss, SiSdr()(found, target).mean(1))
    slope = torch.autograd.grad(loss.sum(), estimate, retain_graph=True)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(SiSdr()(found, target).mean(1).sum(), estimate)[0])


@pytest.mark.parametrize("name", ["si_sdr", "snr", "phasen"])
def test_the_matrix_holds_each_pair(name: str) -> None:
    estimate, target = waveforms(2, 3, 900)
    target[1, 2] = 0.0
    loss, mixture, ends = registry.build("signal_loss", name), target.sum(1), torch.tensor([900, 500])
    cost = pairwise(loss, estimate, target, ends, mixture)
    for e, t in itertools.product(range(3), range(3)):
        torch.testing.assert_close(cost[:, e, t], loss(estimate[:, e], target[:, t], ends, mixture), rtol=1e-4, atol=1e-4)


def test_silent_references_take_the_quietest_estimates() -> None:
    draw = torch.Generator().manual_seed(0)
    target = torch.zeros(1, 4, 500)
    target[0, 1] = torch.randn(500, generator=draw)
    target[0, 3] = torch.randn(500, generator=draw)
    estimate = 1e-3 * torch.randn(1, 4, 500, generator=draw)
    estimate[0, 0] += target[0, 3]
    estimate[0, 2] += target[0, 1]
    loss, order = Pit({"name": "snr", "max_snr": 30.0}).solve(estimate, target)
    assert (order[0, 1].item(), order[0, 3].item()) == (2, 0)
    assert loss.item() == pytest.approx(-30, abs=0.1)
    torch.testing.assert_close(loss, Snr()(reorder(estimate, order), target, mixture=target.sum(1)).mean(1))


@pytest.mark.parametrize("sources", [2, FEW + 1])
def test_a_diverged_estimate_gives_nan_and_no_error(sources: int) -> None:
    estimate, target = waveforms(2, sources)
    estimate[0, 0, 0] = torch.nan
    assert torch.isnan(Pit()(estimate, target)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("estimate", "target"), [((2, 2, 9), (2, 3, 9)), ((2, 9), (2, 9)), ((2, 2, 9), (2, 2, 8)), ((2, 0, 9), (2, 0, 9))], ids=str
)
def test_other_shapes_are_refused(estimate: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="as many estimates as targets") as caught:
        Pit()(torch.ones(estimate), torch.ones(target), mixture=torch.ones(2, 9))
    assert caught.value.code == "E_SHAPE"


def test_an_unknown_loss_inside_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'si_sdr'"):
        registry.build("signal_loss", {"name": "pit", "loss": "si_sdri"})
