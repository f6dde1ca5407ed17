"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from voxid.errors import ConfigError, did_you_mean
from voxid.training.muon import Muon

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "muon": Muon,
}


def optimizer(
    parameters: Iterable[nn.Parameter], *, name: str = "adamw", lr: float = 1e-3, decay_norms: bool = True, **options: Any
) -> torch.optim.Optimizer:
    """An optimiser by name (sgd, adam, adamw, muon); `options` go to its class as they are.

    Args:
        parameters: What it moves.
        name, lr: Which one, and its rate.
        decay_norms: False leaves biases and norms (parameters of one dimension) without weight decay.
        options: E.g. ``weight_decay``, ``momentum``, ``nesterov``. ``fused`` is on where torch has it: one pass over the weights.

    Raises:
        ConfigError: Unknown name or option, or a value that torch refuses.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"unknown optimizer {name!r}: {did_you_mean(name, OPTIMIZERS)}")
    moved = list(parameters)
    if name == "muon":
        options.pop("fused", None)
    else:
        options.setdefault("fused", all(parameter.device.type in ("cpu", "cuda") for parameter in moved))
    groups: list[dict[str, Any]] = [{"params": moved}]
    if not decay_norms:
        groups = [{"params": [p for p in moved if p.ndim > 1]}, {"params": [p for p in moved if p.ndim < 2], "weight_decay": 0.0}]
    try:
        return OPTIMIZERS[name](groups, lr=lr, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"optimizer {name!r}: {error}") from error
