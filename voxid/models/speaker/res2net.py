"""Res2Net: a residual net on the time-frequency plane whose blocks see several scales at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import check_counts, keep_frames, stride_mask
from voxid.models.speaker.resnet import BLOCKS, ResidualNet, shortcut
from voxid.registry import register


def clipped_relu(x: Tensor) -> Tensor:
    """ReLU that ends at 20, in place: published weights of this family were trained with it."""
    return nn.functional.hardtanh_(x, 0.0, 20.0)


class Res2Block(nn.Module):
    """1 x 1 convolution, 3 x 3 ones in `scale` groups of channels that each add the one before, 1 x 1, and the input added.

    Maps [B, inputs, F, N] -> [B, 2 width, F', N'].

    Args:
        inputs: Channels that come in.
        width: Channels of the stage; twice as many go out.
        stride: Of the first convolution, on both axes.
        inner: Channels of one group.
        scale: Groups; the last one passes unchanged.
    """

    expansion = 2

    def __init__(self, inputs: int, width: int, stride: int, inner: int, scale: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.stride = stride
        self.scale = scale
        self.conv1 = nn.Conv2d(inputs, inner * scale, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(inner * scale)
        self.convs = nn.ModuleList(nn.Conv2d(inner, inner, 3, padding=1, bias=False) for _ in range(scale - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(inner) for _ in range(scale - 1))
        self.conv3 = nn.Conv2d(inner * scale, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = stride_mask(mask, self.stride)
        pieces = clipped_relu(self.bn1(self.conv1(x))).chunk(self.scale, dim=1)
        done: list[Tensor] = []
        for piece, conv, norm in zip(pieces[:-1], self.convs, self.bns, strict=True):
            piece = keep_frames(piece + done[-1] if done else piece, mask)
            done.append(clipped_relu(norm(conv(piece))))
        y = self.bn3(self.conv3(torch.cat([*done, pieces[-1]], dim=1)))
        return clipped_relu(y.add_(self.shortcut(x)))


@register("backbone", "res2net")
class Res2Net(ResidualNet):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 8)], in the layout of 3D-Speaker and wespeaker.

    Args:
        input_dim: F.
        depth: Blocks of the stages are those of the `ResNet` of this depth.
        channels: Channels of the stem: 32 (Res2Net34 base) or 64 (large); the last stage has 16 times as many.
        base_width: Channels of a group in the first stage where `channels` is 64; narrower and wider nets scale it.
        scale: Groups of channels in a block, 2 or more.

    Example:
        >>> net = Res2Net(input_dim=80, channels=8)
        >>> net(torch.randn(2, 80, 201)).shape, net.output_dim
        (torch.Size([2, 1280, 26]), 1280)

    Gao et al., "Res2Net: a new multi-scale backbone architecture", TPAMI 2021; for speakers: Zhou et al., "ResNeXt and Res2Net
    structures for speaker verification", SLT 2021.
    """

    def __init__(self, input_dim: int = 80, depth: int = 34, channels: int = 32, base_width: int = 32, scale: int = 2) -> None:
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        if scale < 2:
            raise ValueError(f"scale must be 2 or more, got {scale}")
        check_counts(channels=channels, base_width=base_width)

        def block(inputs: int, width: int, stride: int) -> nn.Module:
            return Res2Block(inputs, width, stride, max(1, width * base_width // 64), scale)

        super().__init__(input_dim, channels, BLOCKS[depth], Res2Block.expansion, block)
