"""Several losses of waveforms at once, weighted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from voxid import registry
from voxid.registry import register


@register("signal_loss", "sum")
class SignalSum(nn.Module):
    """Weighted sum of signal losses, e.g. that of PHASEN and a little of SI-SDR; lower is better.

    Args:
        parts: The losses, by name or with their arguments.
        weights: One for each part; None = 1 for all.

    Example:
        >>> import torch
        >>> loss = SignalSum(["si_sdr", "phasen"], weights=[0.1, 1.0])
        >>> target = torch.sin(torch.arange(1600) / 5)
        >>> round(float(loss(target, target)), 4)  # -30 dB, and no distance
        -3.0
    """

    def __init__(self, parts: Sequence[str | Mapping[str, Any]], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not parts:
            raise ValueError("parts must name one loss or more")
        if weights is not None and len(weights) != len(parts):
            raise ValueError(f"weights must hold one number for each of the {len(parts)} parts, got {len(weights)}")
        if not all(math.isfinite(weight) for weight in weights or ()):
            raise ValueError(f"weights must be finite numbers, got {list(weights or ())}")
        self.parts = nn.ModuleList(registry.build("signal_loss", part) for part in parts)
        self.weights = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]

    def forward(self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None) -> Tensor:
        """The loss [...]."""
        values = [part(estimate, target, lengths, mixture) for part in self.parts]
        first, *others = (weight * value for weight, value in zip(self.weights, values, strict=True))
        return sum(others, first)
