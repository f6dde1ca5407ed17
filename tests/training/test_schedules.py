"""Schedules against torch's own where it has one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.training.schedules import MarginSchedule, Plateau, Schedule


def rates(scheduler_of, steps: int, momentum: float = 0.0) -> list[float]:
    """The rate of torch's scheduler before each step."""
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=momentum)
    scheduler = scheduler_of(rule)
    found = []
    for _ in range(steps):
        found.append(rule.param_groups[0]["lr"])
        rule.step()
        scheduler.step()
    return found


def test_cosine_is_torchs_cosine() -> None:
    expected = rates(lambda rule: torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=50, eta_min=0.1), 51)
    assert [Schedule(final=0.1).at(step, 50) for step in range(51)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", ["triangular", "triangular2"])
def test_cyclic_is_torchs_cyclic(shape: str) -> None:
    def scheduler(rule: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.CyclicLR(rule, 0.01, 1.0, step_size_up=8, mode=shape, cycle_momentum=False)

    schedule = Schedule("cyclic", final=0.01, cycle_steps=16, shape=shape)
    assert [schedule.at(step, 100) for step in range(50)] == pytest.approx(rates(scheduler, 50), abs=1e-9)


def test_one_cycle_is_the_whole_training() -> None:
    schedule = Schedule("cyclic", final=0.0)
    assert [schedule.at(step, 40) for step in (0, 10, 20, 30, 40)] == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torchs_plateau(patience: int) -> None:
    eers = np.random.default_rng(patience).random(40) * np.linspace(1, 0.5, 40)
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(rule, factor=0.3, patience=patience, threshold=0.0, min_lr=1e-3)
    plateau = Plateau(Schedule("plateau", patience=patience, factor=0.3))
    for number, eer in enumerate(eers):
        scheduler.step(eer)
        assert plateau.observe(eer) == pytest.approx(rule.param_groups[0]["lr"], abs=1e-7)
        if number == 20:  # a resume
            state = plateau.state_dict()
            plateau = Plateau(plateau.schedule)
            plateau.load_state_dict(state)


def test_exponential_and_constant() -> None:
    assert Schedule("exponential", 10, 1e-4).at(30, 50) == pytest.approx(1e-2)
    assert Schedule("constant", 10).at(30, 50) == 1.0
    assert Schedule("constant", 10).at(5, 50) == 0.5


def test_a_margin_can_jump() -> None:
    assert [MarginSchedule(0.5, 0.5).at(step, 10, 0.3) for step in (4, 5)] == [0.0, 0.3]


def test_a_margin_rises_as_wespeakers_does() -> None:
    """Its rule, in its own words: final value 1e-3, initial value 1, over the steps of the increase."""
    schedule = MarginSchedule(0.2, 0.6, "exp")
    for step in range(20, 60):
        expected = 0.2 * (1 - math.exp((step - 20) / 40 * math.log(1e-3 / (1 + 1e-6))))
        assert schedule.at(step, 100, 0.2) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert schedule.at(60, 100, 0.2) == 0.2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "cyclc"}, "did you mean 'cyclic'"),
        ({"name": "cyclic", "warmup_steps": 5}, "warmup_steps=0"),
        ({"shape": "triangle"}, "did you mean 'triangular'"),
        ({"cycle_steps": 1}, "cycle_steps"),
        ({"patience": -1}, "patience"),
        ({"factor": 1.0}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"final": 2}, "final"),
        ({"name": "exponential", "final": 0.0}, "final above 0"),
        ({"warmup": 5}, "did you mean 'warmup_steps'"),
    ],
)
def test_mistakes_in_a_schedule_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.call(Schedule, options, "schedule")


@pytest.mark.parametrize(
    ("options", "says"), [({"rise": "linar"}, "did you mean 'linear'"), ({"start": 0.5, "stop": 0.4}, "start <= stop")]
)
def test_mistakes_in_a_margin_schedule_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.call(MarginSchedule, options, "margin_schedule")
