"""Normalisation over time: every bin of an item, over that item's own frames."""

from __future__ import annotations

import torch
from torch import Tensor

# Under the square root: of torch's instance norm, and small enough not to show beside the variance of speech.
FLOORS = {"instance": 1e-5, "mean_var": 1e-8}


def normalize(features: Tensor, kind: str = "mean", frames: Tensor | None = None) -> Tensor:
    """Take off the mean of each bin, and divide by its deviation where `kind` says so: [B, F, N] -> [B, F, N].

    Args:
        features: [B, F, N].
        kind: "none", "mean", "mean_var", or "instance" (torch's instance norm, with 1e-5 beside the variance). The variance is
            the population's (divided by the number of frames): one frame gives zeros.
        frames: Frames of each item [B]; the statistics leave out what comes after them, and it becomes zero.

    Example:
        >>> normalize(torch.tensor([[[1.0, 3.0, 9.0]]]), "mean", torch.tensor([2]))
        tensor([[[-1.,  1.,  0.]]])
    """
    # Products, not fills: a fill by a mask costs five times as much on a CPU.
    mask = None if frames is None else frame_mask(frames, features.shape[2]).to(features.dtype)
    if kind != "none":
        features = features - _mean(features, mask)
    if mask is not None:
        features = features * mask
    if kind in FLOORS:
        features = features / (_mean(features.square(), mask) + FLOORS[kind]).sqrt()
    return features


def frame_mask(frames: Tensor, num_frames: int) -> Tensor:
    """Mask [B, 1, N]: True for the frames of each item.

    Example:
        >>> frame_mask(torch.tensor([1]), 2)
        tensor([[[ True, False]]])
    """
    return (torch.arange(num_frames, device=frames.device) < frames[:, None]).unsqueeze(1)


def clip_range(features: Tensor, top: float, frames: Tensor | None = None) -> Tensor:
    """Raise what lies more than `top` below the largest value of the item, over its own frames: [B, F, N] -> [B, F, N]."""
    known = features
    if frames is not None:
        known = features.masked_fill(~frame_mask(frames, features.shape[2]), float("-inf"))
    return torch.maximum(features, known.amax(dim=(1, 2), keepdim=True) - top)


def _mean(x: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return x.mean(dim=2, keepdim=True)
    return (x * mask).sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True)
