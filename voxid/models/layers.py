"""Blocks and masked statistics that several nets share. Masks are [B, 1, N]: 1 for a frame of speech, 0 for padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_counts(**counts: int | None) -> None:
    """Raise `ValueError` unless every count is 1 or more; None is one that is not given.

    Example:
        >>> check_counts(channels=4, groups=0)
        Traceback (most recent call last):
        ValueError: groups must be 1 or more, got 0
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}")


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """Mask [B, 1, N] of the frames that belong to each item.

    Args:
        lengths: Frames of each item [B].
        num_frames: N.

    Example:
        >>> frame_mask(torch.tensor([1, 3]), 3)[:, 0]
        tensor([[ True, False, False],
                [ True,  True,  True]])
    """
    return (torch.arange(num_frames, device=lengths.device) < lengths[:, None]).unsqueeze(1)


def keep_frames(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zeros where the padding is, as a kernel sees them beyond the edge of an item alone.

    Args:
        x: [B, C, N] or [B, C, F, N].
        mask: [B, 1, N].

    Example:
        >>> keep_frames(torch.ones(1, 1, 1, 2), torch.tensor([[[True, False]]]))
        tensor([[[[1., 0.]]]])
    """
    if mask is None:
        return x
    return x * (mask if x.ndim == 3 else mask.unsqueeze(2))


def stride_mask(mask: Tensor | None, stride: int) -> Tensor | None:
    """Mask [B, 1, ceil(N / stride)] of the frames behind a layer that takes every `stride`-th frame, the first one included.

    Example:
        >>> stride_mask(torch.tensor([[[True, True, True, False]]]), 2)
        tensor([[[True, True]]])
    """
    return mask if mask is None or stride == 1 else mask[:, :, ::stride]


def masked_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over time, without the padding: [B, C, N] -> [B, C, 1]."""
    if mask is None:
        return x.mean(dim=2, keepdim=True)
    return (x * mask).sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True).clamp(min=1)


def masked_std(x: Tensor, mean: Tensor, mask: Tensor | None = None, *, unbiased: bool = False, floor: float = 1e-10) -> Tensor:
    """Standard deviation over time, without the padding: [B, C, N] -> [B, C, 1].

    The variance has a floor under its square root: constant input gives a finite gradient.
    """
    squares = (x - mean).square()
    if mask is None:
        # Not as a tensor: a graph that is compiled or exported would keep this one length.
        return (squares.sum(dim=2, keepdim=True) / max(x.shape[2] - int(unbiased), 1)).add(floor).sqrt()
    count = mask.sum(dim=2, keepdim=True)
    total = (squares * mask).sum(dim=2, keepdim=True)
    return (total / (count - int(unbiased)).clamp(min=1)).add(floor).sqrt()


class ConvReluNorm(nn.Module):
    """CRB: one-dimensional convolution, ReLU, BatchNorm; the length stays: [B, C, N] -> [B, C', N]."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = (kernel_size - 1) // 2 * dilation
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation, padding=padding)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.conv.kernel_size[0] > 1:
            x = keep_frames(x, mask)
        return self.bn(torch.relu(self.conv(x)))


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate that sees the mean over time: [B, C, N] -> [B, C, N].

    Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
    """

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, bottleneck)
        self.linear2 = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        gate = masked_mean(x, mask).squeeze(2)
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(gate))))
        return x * gate.unsqueeze(2)


class Res2Conv(nn.Module):
    """Dilated convolution in `scale` groups of channels, each adding the one before: [B, C, N] -> [B, C, N].

    The last group passes unchanged.  Gao et al., "Res2Net", TPAMI 2021.
    """

    def __init__(self, channels: int, kernel_size: int = 3, dilation: int = 1, scale: int = 8) -> None:
        super().__init__()
        if scale < 2 or channels % scale:
            raise ValueError(f"channels must be a multiple of scale >= 2, got channels {channels} and scale {scale}")
        width = channels // scale
        self.scale = scale
        self.groups = nn.ModuleList(ConvReluNorm(width, width, kernel_size, dilation) for _ in range(scale - 1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        pieces = x.chunk(self.scale, dim=1)
        done: list[Tensor] = []
        for piece, group in zip(pieces[:-1], self.groups, strict=True):
            done.append(group(piece + done[-1] if done else piece, mask))
        return torch.cat([*done, pieces[-1]], dim=1)
