"""SpecAugment and SpecSwap: bands of frequency and stretches of time, masked or swapped; and time, warped."""

from __future__ import annotations

import torch
from torch import Tensor

from voxid.errors import ConfigError, did_you_mean

POLICIES = ("item", "batch")


def specaugment(
    features: Tensor,
    generator: torch.Generator,
    *,
    freq_masks: int = 1,
    freq_width: int = 10,
    time_masks: int = 1,
    time_width: int = 20,
    freq_swaps: int = 0,
    freq_swap_width: int = 7,
    time_swaps: int = 0,
    time_swap_width: int = 20,
    time_warp: int = 0,
    policy: str = "item",
) -> Tensor:
    """Features [B, F, N], warped in time, with bands and stretches swapped and masked; for features with their mean removed.

    Args:
        features: [B, F, N].
        generator: On the CPU; decides everything.
        freq_masks, time_masks: Masks of zeros.
        freq_width, time_width: Widest mask, in bins and frames; the width is drawn from 0 up to it.
        freq_swaps, time_swaps: Swaps of two bands, or two stretches, of one width that do not overlap.
        freq_swap_width, time_swap_width: Widest of them, in bins and frames; drawn from 0 up to it, half the size at most.
        time_warp: Most frames by which a drawn moment moves; what is before and after it is stretched or pressed together.
        policy: "item": each item has its own; "batch": all items have the same.

    Raises:
        ConfigError: A number below 0, or an unknown policy.

    Example:
        >>> masked = specaugment(torch.ones(1, 80, 200), torch.Generator().manual_seed(1))
        >>> masked.shape, bool((masked == 0).any())
        (torch.Size([1, 80, 200]), True)

    Park et al., "SpecAugment", Interspeech 2019; Song et al., "SpecSwap: a simple data augmentation method for end-to-end
    speech recognition", Interspeech 2020.
    """
    if min(freq_masks, freq_width, time_masks, time_width) < 0 or min(freq_swaps, freq_swap_width, time_swaps) < 0:
        raise ConfigError("specaugment: numbers and widths of masks and swaps must be 0 or more")
    if min(time_swap_width, time_warp) < 0:
        raise ConfigError("specaugment: time_swap_width and time_warp must be 0 or more")
    if policy not in POLICIES:
        raise ConfigError(f"specaugment: unknown policy {policy!r}: {did_you_mean(str(policy), POLICIES)}")
    items, bins, frames = features.shape
    draws = 1 if policy == "batch" else items
    # The masks are drawn first: with nothing else on, they are those of SpecAugment alone.
    keep_freq = _keep(draws, bins, freq_masks, freq_width, generator).to(features.device)
    keep_time = _keep(draws, frames, time_masks, time_width, generator).to(features.device)
    if time_warp and frames > 2:
        features = _warped(features, draws, time_warp, generator)
    for _ in range(freq_swaps):
        order = _swapped(draws, bins, freq_swap_width, generator).to(features.device)
        features = features.gather(1, order[:, :, None].expand(items, bins, frames))
    for _ in range(time_swaps):
        order = _swapped(draws, frames, time_swap_width, generator).to(features.device)
        features = features.gather(2, order[:, None, :].expand(items, bins, frames))
    return features * (keep_freq[:, :, None] & keep_time[:, None, :])


def _keep(items: int, size: int, masks: int, width: int, generator: torch.Generator) -> Tensor:
    keep = torch.ones(items, size, dtype=torch.bool)
    index = torch.arange(size)
    for _ in range(masks):
        span = torch.rand(items, 1, generator=generator) * (min(width, size) + 1)
        start = torch.rand(items, 1, generator=generator) * (size - span.floor().clamp(max=size))
        keep &= (index < start.floor()) | (index >= start.floor() + span.floor())
    return keep


def _swapped(items: int, size: int, width: int, generator: torch.Generator) -> Tensor:
    """Order [B, size] in which two stretches of a drawn width have changed places."""
    span = (torch.rand(items, 1, generator=generator) * (min(width, size // 2) + 1)).floor().long()
    free = size - 2 * span  # what is neither in the one nor in the other
    places = (torch.rand(items, 2, generator=generator) * (free + 1)).floor().long().minimum(free).sort(dim=1).values
    first, second = places[:, :1], places[:, 1:] + span
    index = torch.arange(size).expand(items, size)
    in_first, in_second = (index >= first) & (index < first + span), (index >= second) & (index < second + span)
    return index + (second - first) * in_first.long() - (second - first) * in_second.long()


def _warped(features: Tensor, items: int, most: int, generator: torch.Generator) -> Tensor:
    """Features [B, F, N] in which a drawn moment has moved by up to `most` frames, linear in between."""
    frames = features.shape[2]
    last, most = frames - 1, min(most, (frames - 1) // 2)
    moment = most + torch.rand(items, 1, generator=generator) * (last - 2 * most)
    moved = (moment + (2 * torch.rand(items, 1, generator=generator) - 1) * most).clamp(1, last - 1)
    index = torch.arange(frames).expand(items, frames)
    before, after = index * (moment / moved), moment + (index - moved) * ((last - moment) / (last - moved))
    source = torch.where(index < moved, before, after).clamp(0, last).to(features.device)
    left = source.floor().long().clamp(max=last - 1)
    share = (source - left)[:, None, :].to(features.dtype)
    place = left[:, None, :].expand(len(features), features.shape[1], frames)
    return torch.lerp(features.gather(2, place), features.gather(2, place + 1), share)
