"""Slopes of features over time: regression over a few frames on each side."""

from __future__ import annotations

import torch
from torch import Tensor

from voxid.features.options import FrontendOptions


def add_deltas(features: Tensor, options: FrontendOptions, frames: Tensor | None = None) -> Tensor:
    """Features [B, F, N] and below them `options.deltas` orders of slopes: [B, F (1 + deltas), N].

    The slope at frame t is the sum over k = 1 ... window of k (x[t + k] - x[t - k]), divided by 2 (1 + 4 + 9 ...) where
    `delta_norm` is set. Frames beyond an item's ends are its first and its last one again. With `delta_edges` = "htk" the
    slopes of slopes repeat the outermost *slope* (HTK, torchaudio, SpeechBrain), with "kaldi" they still see the outermost
    *feature*; the two differ in the frames at the ends alone.

    Args:
        features: [B, F, N].
        options: Its fields `deltas` and `delta_*`.
        frames: Frames of each item [B]; what comes after them is not looked at.

    Young et al., "The HTK book", 2006, 5.9; Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011 (add-deltas).
    """
    order, window = options.deltas, options.delta_window
    if not order:
        return features
    parts = [features]
    if options.delta_edges == "htk":
        for _ in range(order):
            parts.append(slope(repeat_ends(parts[-1], window, frames), options))
        return torch.cat(parts, dim=1)
    wide = repeat_ends(features, order * window, frames)
    for rest in range(order - 1, -1, -1):
        wide = slope(wide, options)
        parts.append(wide[:, :, rest * window : wide.shape[2] - rest * window])
    return torch.cat(parts, dim=1)


def slope(x: Tensor, options: FrontendOptions) -> Tensor:
    """Slopes [B, F, N - 2 window] of x [B, F, N] where all frames beside are known.

    Example:
        >>> slope(torch.arange(6.0).view(1, 1, 6), FrontendOptions())
        tensor([[[1., 1.]]])
    """
    window, size = options.delta_window, x.shape[2] - 2 * options.delta_window
    total = sum(
        k * (x[:, :, window + k : window + k + size] - x[:, :, window - k : window - k + size]) for k in range(1, window + 1)
    )
    scale = 2 * sum(k * k for k in range(1, window + 1)) if options.delta_norm else 1
    return torch.as_tensor(total) / scale


def repeat_ends(x: Tensor, count: int, frames: Tensor | None = None) -> Tensor:
    """Each item of x [B, F, N] with its first frame `count` times more in front and its last own one behind it.

    Example:
        >>> repeat_ends(torch.tensor([[[1.0, 2.0, 9.0]]]), 1, torch.tensor([2]))
        tensor([[[1., 1., 2., 2., 2.]]])
    """
    places = torch.arange(-count, x.shape[2] + count, device=x.device)
    if frames is None:
        return x[:, :, places.clamp(0, x.shape[2] - 1)]
    last = (frames - 1)[:, None].to(places.device)
    own = torch.minimum(places.clamp(min=0), last)
    return x.gather(2, own[:, None].expand(-1, x.shape[1], -1))
