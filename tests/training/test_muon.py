"""Muon: against torch's own for matrices, and torch's AdamW for the rest."""

import copy

import pytest
import torch
from torch import nn

from voxid.errors import ConfigError
from voxid.training.muon import Muon, orthogonal
from voxid.training.optim import optimizer


def _grads(weights: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_matrices_move_as_with_torch_muon(shape: tuple[int, int]) -> None:
    start = torch.randn(shape)
    ours, theirs = nn.Parameter(start[..., None].clone()), nn.Parameter(start.clone())
    rule = Muon([ours], lr=0.02, weight_decay=0.1)
    # torch averages the momentum (1 - beta on the gradient), we add it up; both only count by their direction.
    peer = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    for seed in range(4):
        _grads([theirs], seed)
        assert theirs.grad is not None
        ours.grad = theirs.grad[..., None].clone()
        rule.step()
        peer.step()
    # torch works in bfloat16
    torch.testing.assert_close(ours[..., 0] - start, theirs - start, rtol=0.05, atol=2e-3)


def test_everything_else_moves_as_with_adamw() -> None:
    start = [torch.randn(3), torch.randn(8, 1, 5), torch.randn(())]
    ours, theirs = ([nn.Parameter(value.clone()) for value in start] for _ in range(2))
    rule, peer = Muon(ours, lr=0.01, weight_decay=0.2), torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.2)
    for seed in range(5):
        _grads(ours, seed)
        _grads(theirs, seed)
        rule.step()
        peer.step()
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected)


def test_the_direction_is_the_polar_factor_but_for_a_few_tenths() -> None:
    matrix = torch.randn(12, 7, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonal(matrix) @ right.T
    off = found - found.diagonal().diag()
    assert float(off.abs().max()) < 1e-4
    assert float(found.diagonal().min()) > 0.6
    assert float(found.diagonal().max()) < 1.3


def test_stored_and_loaded_it_goes_on() -> None:
    weights = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4))]
    rule = optimizer(weights, name="muon", lr=0.01)
    _grads(weights, 0)
    rule.step()
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    again = optimizer(copies, name="muon", lr=0.01)
    again.load_state_dict(copy.deepcopy(rule.state_dict()))
    for each, moved in ((weights, rule), (copies, again)):
        _grads(each, 1)
        moved.step()
    for one, other in zip(weights, copies, strict=True):
        assert torch.equal(one, other)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="matrix_gain"):
        optimizer([nn.Parameter(torch.zeros(2, 2))], name="muon", matrix_gain=-1)
    with pytest.raises(ConfigError, match="muon"):
        optimizer([nn.Parameter(torch.zeros(2, 2))], name="muon", nesterov=True)
