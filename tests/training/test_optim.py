"""Schedules against torch's own where it has one."""

from __future__ import annotations

import pytest
import torch

from voxid.errors import ConfigError
from voxid.training.optim import lr_factor, margin_at, optimizer


def test_cosine_is_torchs_cosine() -> None:
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=50, eta_min=0.1)
    for step in range(51):
        assert lr_factor(step, 50, final=0.1) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-9)
        rule.step()
        scheduler.step()


def test_exponential_and_constant() -> None:
    assert lr_factor(30, 50, name="exponential", warmup_steps=10, final=1e-4) == pytest.approx(1e-2)
    assert lr_factor(30, 50, name="constant", warmup_steps=10) == 1.0
    assert lr_factor(5, 50, name="constant", warmup_steps=10) == 0.5


def test_a_margin_can_jump() -> None:
    assert [margin_at(step, 10, 0.3, start=0.5, stop=0.5) for step in (4, 5)] == [0.0, 0.3]


def test_mistakes_are_named() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    for options, says in (({"name": "lion"}, "unknown optimizer"), ({"beta": 1}, "beta"), ({"lr": -1}, "learning rate")):
        with pytest.raises(ConfigError, match=says):
            optimizer(parameters, **options)
    with pytest.raises(ConfigError, match="unknown schedule"):
        lr_factor(1, 2, name="linear")
