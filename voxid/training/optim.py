"""Optimisers, and what moves during training: the learning rate and the margin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from voxid.errors import ConfigError, did_you_mean

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

SCHEDULES = ("constant", "cosine", "exponential")


def optimizer(
    parameters: Iterable[nn.Parameter], *, name: str = "adamw", lr: float = 1e-3, **options: Any
) -> torch.optim.Optimizer:
    """An optimiser by name (sgd, adam, adamw); `options` go to torch's class as they are.

    Raises:
        ConfigError: Unknown name or option.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"unknown optimizer {name!r}: {did_you_mean(name, OPTIMIZERS)}")
    try:
        return OPTIMIZERS[name](parameters, lr=lr, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer {name!r}: {error}") from error


def lr_factor(step: int, steps: int, *, name: str = "cosine", warmup_steps: int = 0, final: float = 1e-3) -> float:
    """Factor on the learning rate at a step: a linear warm-up, then the way down to `final`.

    Args:
        step, steps: Now, and the whole of the training.
        name: ``cosine``, ``exponential`` or ``constant``.
        warmup_steps: Steps of the rise from 0.
        final: Factor at the end.

    Example:
        >>> [round(lr_factor(step, 100, warmup_steps=10, final=0.0), 2) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if name not in SCHEDULES:
        raise ConfigError(f"unknown schedule {name!r}: {did_you_mean(name, SCHEDULES)}")
    if warmup_steps < 0 or not 0.0 <= final <= 1.0:
        raise ConfigError(f"schedule: warmup_steps >= 0 and 0 <= final <= 1 are needed, got {warmup_steps} and {final}")
    if step < warmup_steps:
        return step / warmup_steps
    done = min((step - warmup_steps) / max(steps - warmup_steps, 1), 1.0)
    if name == "cosine":
        return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))
    if name == "exponential":
        return final**done
    return 1.0


def margin_at(step: int, steps: int, margin: float, *, start: float = 0.15, stop: float = 0.45) -> float:
    """Margin at a step: 0 until the share `start` of the training, then a straight rise to `margin` at `stop`.

    Example:
        >>> [round(margin_at(step, 100, 0.2, start=0.2, stop=0.6), 2) for step in (0, 20, 40, 60, 100)]
        [0.0, 0.0, 0.1, 0.2, 0.2]
    """
    if stop <= start:
        return margin if step >= start * steps else 0.0
    return margin * min(max((step / steps - start) / (stop - start), 0.0), 1.0)
