"""Optimisers by name."""

from __future__ import annotations

import pytest
import torch

from voxid.errors import ConfigError
from voxid.training.optim import optimizer


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))


def step(module: torch.nn.Module, rule: torch.optim.Optimizer) -> list[torch.Tensor]:
    torch.manual_seed(1)
    for _ in range(3):
        rule.zero_grad()
        module(torch.randn(8, 3)).square().sum().backward()
        rule.step()
    return [parameter.detach() for parameter in module.parameters()]


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({"name": "sgd", "momentum": 0.9, "nesterov": True}, torch.optim.SGD),
        ({"name": "adam", "weight_decay": 0.01}, torch.optim.Adam),
        ({"weight_decay": 0.1, "betas": [0.9, 0.98]}, torch.optim.AdamW),
    ],
)
def test_a_step_is_torchs_step(options: dict, plain: type) -> None:
    one, other = net(), net()
    arguments = {key: value for key, value in options.items() if key != "name"}
    ours = step(one, optimizer(one.parameters(), lr=0.01, **options))
    torchs = step(other, plain(other.parameters(), lr=0.01, foreach=False, fused=False, **arguments))
    torch.testing.assert_close(ours, torchs)


def test_norms_and_biases_can_go_without_decay() -> None:
    module = net()
    before = [parameter.detach().clone() for parameter in module.parameters()]
    rule = optimizer(module.parameters(), lr=0.1, weight_decay=0.5, decay_norms=False)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    rule.step()
    for parameter, old in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (0.95 if old.ndim > 1 else 1.0))


def test_mistakes_are_named() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    for options, says in (
        ({"name": "lion"}, "unknown optimizer"),
        ({"beta": 1}, "beta"),
        ({"lr": -1}, "learning rate"),
        ({"name": "sgd", "nesterov": True}, "Nesterov"),
    ):
        with pytest.raises(ConfigError, match=says):
            optimizer(parameters, **options)
