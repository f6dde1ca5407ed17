"""SpecAugment: bands of frequency and stretches of time, masked."""

from __future__ import annotations

import torch
from torch import Tensor


def specaugment(
    features: Tensor,
    generator: torch.Generator,
    *,
    freq_masks: int = 1,
    freq_width: int = 10,
    time_masks: int = 1,
    time_width: int = 20,
) -> Tensor:
    """Features [B, F, N] with masks of zeros, drawn for each item anew; meant for features with their mean removed.

    Args:
        features: [B, F, N].
        generator: On the CPU; decides the masks.
        freq_masks, time_masks: Masks an item.
        freq_width, time_width: Widest mask, in bins and frames; the width is drawn from 0 up to it.

    Example:
        >>> masked = specaugment(torch.ones(1, 80, 200), torch.Generator().manual_seed(1))
        >>> masked.shape, bool((masked == 0).any())
        (torch.Size([1, 80, 200]), True)

    Park et al., "SpecAugment", Interspeech 2019.
    """
    items, bins, frames = features.shape
    keep_freq = _keep(items, bins, freq_masks, freq_width, generator).to(features.device)
    keep_time = _keep(items, frames, time_masks, time_width, generator).to(features.device)
    return features * (keep_freq[:, :, None] & keep_time[:, None, :])


def _keep(items: int, size: int, masks: int, width: int, generator: torch.Generator) -> Tensor:
    keep = torch.ones(items, size, dtype=torch.bool)
    index = torch.arange(size)
    for _ in range(masks):
        span = torch.rand(items, 1, generator=generator) * (min(width, size) + 1)
        start = torch.rand(items, 1, generator=generator) * (size - span.floor().clamp(max=size))
        keep &= (index < start.floor()) | (index >= start.floor() + span.floor())
    return keep
