"""Waveforms against the waveforms they should be -> decibels; higher is better."""

from __future__ import annotations

import torch
from torch import Tensor

from voxid.errors import DataError


def snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Signal-to-noise ratio, in dB; higher is better.

    All that `estimate` differs from `target` is noise, its scale, its delay and a constant offset included.

    Args:
        estimate, target: Waveforms [..., T], T >= 1, of one shape.

    Returns:
        One value per waveform [...]; +inf where both are equal, NaN where `target` is silent (all zeros, for which no ratio is
        defined) or either is not finite.

    Raises:
        DataError: ``E_SHAPE``.

    Example:
        >>> snr(torch.tensor([1.1, -0.9, 1.1]), torch.tensor([1.0, -1.0, 1.0]))
        tensor(20.0000)
    """
    if estimate.shape != target.shape or not target.dim() or not target.shape[-1]:
        raise DataError(
            f"expected two waveforms [..., T] of one shape, got {list(estimate.shape)} and {list(target.shape)}", "E_SHAPE"
        )
    kind = torch.promote_types(torch.promote_types(estimate.dtype, target.dtype), torch.float32)
    # In float64 the squares of no float32 overflow or vanish.
    target, noise = target.double(), estimate.double() - target.double()
    signal_power, noise_power = target.square().sum(-1), noise.square().sum(-1)
    defined = (signal_power > 0) & torch.isfinite(signal_power) & torch.isfinite(noise_power)
    ratio = torch.where(defined, signal_power / noise_power, torch.nan)
    return (10.0 * ratio.log10()).to(kind)
