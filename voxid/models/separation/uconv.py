"""U-ConvBlocks of SuDoRM-RF: look at the frames on several time scales, one depthwise convolution a scale, and sum them up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import keep_frames, stride_mask

KERNEL = 5


class GlobalNorm(nn.Module):
    """Mean 0 and variance 1 over all channels and frames of an item, then a gain and a bias per channel: [B, C, N] -> [B, C, N].

    Frames of padding are left out of the statistics.
    """

    eps = 1e-8

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return torch.group_norm(x, 1, self.weight, self.bias, self.eps)
        count = mask.sum(dim=(1, 2), keepdim=True) * x.shape[1]
        centred = x - (x * mask).sum(dim=(1, 2), keepdim=True) / count
        variance = (centred.square() * mask).sum(dim=(1, 2), keepdim=True) / count
        return centred * (variance + self.eps).rsqrt() * self.weight[:, None] + self.bias[:, None]


class NormAct(nn.Module):
    """`GlobalNorm` and a PReLU with `slopes` slopes, one for all channels or one for each."""

    def __init__(self, channels: int, slopes: int) -> None:
        super().__init__()
        self.norm = GlobalNorm(channels)
        self.act = nn.PReLU(slopes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.act(self.norm(x, mask))


class Scale(nn.Module):
    """Depthwise convolution that keeps every `stride`-th frame, and a norm: [B, C, N] -> [B, C, ceil(N / stride)]."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(channels, channels, KERNEL, stride=stride, padding=KERNEL // 2, groups=channels)
        self.norm = GlobalNorm(channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The frames of the next scale, and their mask."""
        below = stride_mask(mask, self.stride)
        return self.norm(self.conv(keep_frames(x, mask)), below), below


def doubled(x: Tensor) -> Tensor:
    """Every frame twice, nearest-neighbour up-sampling: [B, C, N] -> [B, C, 2 N].

    Example:
        >>> doubled(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 2., 2.]]])
    """
    return x.unsqueeze(3).expand(-1, -1, -1, 2).flatten(2)


class UConvBlock(nn.Module):
    """Block of the improved net: widen, go down the scales, sum them on the way up, narrow, add the input: [B, C, N] -> same.

    Args:
        channels: C.
        hidden: Channels inside.
        downsamplings: Q; the coarsest scale has one frame for 2 ** Q.
        slopes: Slopes of a PReLU on the `hidden` channels.
    """

    def __init__(self, channels: int, hidden: int, downsamplings: int, slopes: int = 1) -> None:
        super().__init__()
        self.expand = nn.Conv1d(channels, hidden, 1)
        self.expand_norm = NormAct(hidden, slopes)
        self.scales = nn.ModuleList(Scale(hidden, 2 if level else 1) for level in range(downsamplings + 1))
        self.sum_norm = NormAct(hidden, slopes)
        self.reduce = nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.change(x, mask)

    def change(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What the block adds to its input [B, C, N]."""
        y = self.expand_norm(self.expand(x), mask)
        levels, below = [], mask
        for scale in self.scales:
            y, below = scale(y, below)
            levels.append(y)
        y = levels.pop()
        while levels:
            finer = levels.pop()
            y = finer + doubled(y)[..., : finer.shape[2]]
        return self.reduce(self.sum_norm(y, mask))


class FirstUConvBlock(UConvBlock):
    """Block of the original net: a slope for each channel, and norms behind the last convolution and behind the sum."""

    def __init__(self, channels: int, hidden: int, downsamplings: int) -> None:
        super().__init__(channels, hidden, downsamplings, slopes=hidden)
        self.reduce_norm = GlobalNorm(channels)
        self.last_norm = NormAct(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.last_norm(x + self.reduce_norm(self.change(x, mask), mask), mask)


class GroupBlock(nn.Module):
    """Block of the group-communication net: G groups of channels tell each other their mean, then share one small U-ConvBlock.

    Maps [B, C, N] -> [B, C, N].

    Luo et al., "Ultra-lightweight speech separation via group communication", ICASSP 2021.
    """

    def __init__(self, channels: int, hidden: int, downsamplings: int, groups: int) -> None:
        super().__init__()
        if channels % groups or hidden % groups:
            raise ValueError(f"channels and hidden must be multiples of groups, got {channels} and {hidden} with groups {groups}")
        width = channels // groups
        self.groups = groups
        self.enter = nn.Sequential(nn.Conv1d(width, 3 * width, 1), nn.PReLU())
        self.mean = nn.Sequential(nn.Conv1d(3 * width, 3 * width, 1), nn.PReLU())
        self.leave = nn.Sequential(nn.Conv1d(6 * width, width, 1), nn.PReLU())
        self.norm = GlobalNorm(width)
        self.block = UConvBlock(width, hidden // groups, downsamplings)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        groups = x.reshape(-1, x.shape[1] // self.groups, x.shape[2])
        mask = None if mask is None else mask.repeat_interleave(self.groups, dim=0)
        own = self.enter(groups)
        mean = self.mean(own.unflatten(0, (-1, self.groups)).mean(dim=1))
        told = self.leave(torch.cat([own, mean.repeat_interleave(self.groups, dim=0)], dim=1))
        return self.block(groups + self.norm(told, mask), mask).reshape(x.shape)
