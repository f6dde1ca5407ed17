"""Several losses of waveforms as one."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.losses.permutation import Pit

PARTS = ["phasen", {"name": "si_sdr", "clamp": None}]


def test_it_is_the_weighted_sum_of_its_parts_and_so_are_its_gradients() -> None:
    loss = registry.build("signal_loss", {"name": "sum", "parts": PARTS, "weights": [1.0, 0.03]})
    estimate, target = torch.randn(2, 3, 1600, requires_grad=True), torch.randn(2, 3, 1600)
    lengths = torch.tensor([1600, 900])
    parts = [registry.build("signal_loss", part)(estimate, target, lengths) for part in PARTS]
    expected = parts[0] + 0.03 * parts[1]
    value = loss(estimate, target, lengths)
    torch.testing.assert_close(value, expected)
    ours, theirs = (torch.autograd.grad(x.sum(), estimate)[0] for x in (value, expected))
    torch.testing.assert_close(ours, theirs)


def test_without_weights_all_count_once_and_the_mixture_is_handed_on() -> None:
    loss = registry.build("signal_loss", {"name": "sum", "parts": ["snr", "snr"]})
    estimate, target, mixture = torch.randn(3, 2, 800), torch.randn(3, 2, 800), torch.randn(3, 800)
    one = registry.build("signal_loss", "snr")(estimate, target, mixture=mixture)
    torch.testing.assert_close(loss(estimate, target, mixture=mixture), 2 * one)


def test_one_order_is_found_for_the_sum() -> None:
    """The part with the large weight decides, whatever the other would choose."""
    target = torch.randn(4, 2, 1600)
    loss = Pit({"name": "sum", "parts": ["si_sdr", "phasen"], "weights": [1.0, 1e-3]})
    value, order = loss.solve(target.flip(1), target)
    assert order.tolist() == [[1, 0]] * 4
    torch.testing.assert_close(value, torch.full((4,), -30.0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"parts": []}, "one loss or more"),
        ({"parts": PARTS, "weights": [1.0]}, "each of the 2 parts, got 1"),
        ({"parts": PARTS, "weights": [1.0, float("nan")]}, "finite numbers"),
        ({"parts": ["si_sdr", "phasn"]}, "did you mean 'phasen'"),
        ({"parts": [{"name": "si_sdr", "clam": 3}]}, "did you mean 'clamp'"),
        ({}, "'parts' is missing"),
    ],
)
def test_parts_that_make_no_loss_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        registry.build("signal_loss", {"name": "sum", **wrong})
