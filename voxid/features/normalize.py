"""Normalisation over time: every bin of an item, over that item's own frames."""

from __future__ import annotations

import torch
from torch import Tensor

# Under the square root: of torch's instance norm, and small enough not to show beside the variance of speech.
FLOORS = {"instance": 1e-5, "mean_var": 1e-8}


def normalize(features: Tensor, kind: str = "mean", frames: Tensor | None = None, window: int = 300) -> Tensor:
    """Take off the mean of each bin, and divide by its deviation where `kind` says so: [B, F, N] -> [B, F, N].

    Args:
        features: [B, F, N].
        kind: "none", "mean", "mean_var", "instance" (torch's instance norm, with 1e-5 beside the variance) or "sliding" (the
            mean of the `window` frames around each one, see `sliding_mean`). The variance is the population's (divided by the
            number of frames): one frame gives zeros.
        frames: Frames of each item [B]; the statistics leave out what comes after them, and it becomes zero.
        window: Frames of the sliding mean.

    Example:
        >>> normalize(torch.tensor([[[1.0, 3.0, 9.0]]]), "mean", torch.tensor([2]))
        tensor([[[-1.,  1.,  0.]]])
    """
    # Products, not fills: a fill by a mask costs five times as much on a CPU.
    mask = None if frames is None else frame_mask(frames, features.shape[2]).to(features.dtype)
    if kind == "sliding":
        features = features - sliding_mean(features, window, frames)
    elif kind != "none":
        features = features - _mean(features, mask)
    if mask is not None:
        features = features * mask
    if kind in FLOORS:
        features = features / (_mean(features.square(), mask) + FLOORS[kind]).sqrt()
    return features


def sliding_mean(features: Tensor, window: int, frames: Tensor | None = None) -> Tensor:
    """Mean of the `window` frames around each frame: [B, F, N] -> [B, F, N].

    Frame t sees t - window // 2 and the frames that follow, `window` in all. At an item's ends the window moves inwards and
    keeps its size; an item shorter than the window is seen whole. That is Kaldi's apply-cmvn-sliding with center=true.

    Args:
        features: [B, F, N].
        window: In frames.
        frames: Frames of each item [B]; what comes after them is not looked at, and its means are not defined.

    Example:
        >>> sliding_mean(torch.tensor([[[0.0, 3.0, 6.0, 12.0]]]), 3)
        tensor([[[3., 3., 7., 7.]]])
    """
    size = features.shape[2]
    own = torch.full((1,), size, device=features.device) if frames is None else frames.to(features.device)
    start = torch.arange(size, device=features.device) - window // 2
    start = torch.minimum(start.clamp(min=0), (own[:, None] - window).clamp(min=0))
    stop = torch.minimum(start + window, own[:, None])
    # In float64: a difference of two long float32 sums would lose the digits that matter.
    sums = torch.nn.functional.pad(features.double().cumsum(dim=2), (1, 0))
    total = _take(sums, stop) - _take(sums, start)
    return (total / (stop - start)[:, None]).to(features.dtype)


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


def _take(x: Tensor, places: Tensor) -> Tensor:
    if len(places) == 1:  # one row of places for all items: no need to spell it out for each bin
        return x.index_select(2, places[0])
    return x.gather(2, places[:, None].expand(-1, x.shape[1], -1))


def _mean(x: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return x.mean(dim=2, keepdim=True)
    return (x * mask).sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True)
