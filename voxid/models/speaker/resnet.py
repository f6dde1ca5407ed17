"""Residual nets on the time-frequency plane: ResNet (the layout of the r-vector), SE-ResNet, ResNeXt and SimAM-ResNet."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from voxid.models.layers import SqueezeExcitation, check_counts, keep_frames, stride_mask
from voxid.registry import register

# Blocks of each stage: 18 ... 152 after He et al., 100 after SimAM-ResNet, 221 and 293 the deep nets of the r-vector.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    100: (6, 16, 24, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    221: (6, 16, 48, 3),
    293: (10, 20, 64, 3),
}
BASIC = (18, 34, 100)  # the other depths are made of bottlenecks


class PlaneSE(nn.Module):
    """Scales each map by a gate that sees its mean over F and time: [B, C, F, N] -> [B, C, F, N].

    Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.gate = SqueezeExcitation(channels, max(1, channels // reduction))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # F and N side by side are a view, in the contiguous and in the channels_last format.
        flat = None if mask is None else mask.repeat(1, 1, x.shape[2])
        return self.gate(x.flatten(2), flat).unflatten(2, x.shape[2:])


class SimAM(nn.Module):
    """Scales each point by how far it lies from the mean of its map; no weights: [B, C, F, N] -> [B, C, F, N].

    Yang et al., "SimAM: a simple, parameter-free attention module for convolutional neural networks", ICML 2021.
    """

    def __init__(self, floor: float = 1e-4) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        wide = x.float()
        if mask is None:
            count: Tensor | int = x.shape[2] * x.shape[3]
            squares = (wide - wide.mean(dim=(2, 3), keepdim=True)).square()
            variance = squares.sum(dim=(2, 3), keepdim=True) / max(count - 1, 1)
        else:
            here = mask.unsqueeze(2)
            count = here.sum(dim=3, keepdim=True) * x.shape[2]
            mean = (wide * here).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
            squares = (wide - mean).square()
            variance = (squares * here).sum(dim=(2, 3), keepdim=True) / (count - 1).clamp(min=1)
        return x * torch.sigmoid(squares / (4 * (variance + self.floor)) + 0.5).to(x.dtype)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """The way around a block: nothing, or a 1 x 1 convolution and a norm where the shape changes."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and the input added: [B, inputs, F, N] -> [B, width, F', N']; `stride` acts on both axes."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.attention = attention
        self.shortcut = shortcut(inputs, width, stride)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        after = stride_mask(mask, self.stride)
        y = self.bn1(self.conv1(keep_frames(x, mask))).relu_()
        y = self.bn2(self.conv2(keep_frames(y, after)))
        if self.attention is not None:
            y = self.attention(y, after)
        return y.add_(self.shortcut(x)).relu_()


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and the input added: [B, inputs, F, N] -> [B, 4 width, F', N'].

    Args:
        inputs: Channels that come in.
        width: Channels of the stage; 4 times as many go out.
        stride: Of the 3 x 3 convolution, on both axes.
        inner: Channels of the 3 x 3 convolution; None is `width`.
        groups: Groups of the 3 x 3 convolution.
        attention: A module called with (x, mask) before the input is added.
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        attention: nn.Module | None = None,
        *,
        inner: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner, outputs = inner or width, self.expansion * width
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.attention = attention
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(keep_frames(y, mask))).relu_()
        y = self.bn3(self.conv3(y))
        if self.attention is not None:
            y = self.attention(y, stride_mask(mask, self.stride))
        return y.add_(self.shortcut(x)).relu_()


class ResidualNet(nn.Module):
    """A 3 x 3 stem and four stages of blocks: features [B, F, N] -> frames [B, output_dim, ceil(N / 8)].

    The stages have 1, 2, 4 and 8 times `channels`; the last three halve both axes. Maps are laid side by side at the end,
    channel by channel. The names of the weights are those of wespeaker and torchvision: conv1, bn1, layer1 ... layer4.

    Args:
        input_dim: F.
        channels: Channels of the stem.
        blocks: Blocks of each stage.
        expansion: Channels behind a block over those of its stage.
        block: Makes a block from (inputs, width, stride); it is called with (x, mask).
    """

    def __init__(
        self, input_dim: int, channels: int, blocks: tuple[int, ...], expansion: int, block: Callable[[int, int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        inputs = channels
        for stage, count in enumerate(blocks):
            width = channels * 2**stage
            outputs = width * expansion
            first = block(inputs, width, 1 if stage == 0 else 2)
            stages.append(nn.ModuleList([first, *(block(outputs, width, 1) for _ in range(count - 1))]))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.output_dim = inputs * -(-input_dim // 8)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames [B] that remain of `lengths` [B]: one of eight, rounded up."""
        return (lengths + 7) // 8

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.bn1(self.conv1(keep_frames(x, mask).unsqueeze(1))).relu_()
        for layer, stride in zip((self.layer1, self.layer2, self.layer3, self.layer4), (1, 2, 2, 2), strict=True):
            for place, block in enumerate(layer):
                x = block(x, mask)
                mask = stride_mask(mask, stride) if place == 0 else mask
        return x.flatten(1, 2)


@register("backbone", "resnet")
class ResNet(ResidualNet):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 8)], in the layout of the r-vector.

    Args:
        input_dim: F.
        depth: 18, 34 or 100 (basic blocks), 50, 101, 152, 221 or 293 (bottlenecks).
        channels: Channels of the stem; the last stage has 8 times as many (32 times with bottlenecks).
        se: Squeeze-and-excitation in each block, over F and time.
        simam: SimAM attention in each block, instead of `se`.
        reduction: Channels of a block over the hidden ones of its squeeze-and-excitation.
        groups: Groups of the 3 x 3 convolutions (ResNeXt); bottlenecks only.
        base_width: Channels of a group in the first stage where `channels` is 64; narrower and wider nets scale it.

    Example:
        >>> net = ResNet(input_dim=80, depth=18, channels=8)
        >>> net(torch.randn(2, 80, 201)).shape, net.output_dim
        (torch.Size([2, 640, 26]), 640)

    He et al., "Deep residual learning for image recognition", CVPR 2016; Zeinali et al., "BUT system description to VoxCeleb
    speaker recognition challenge 2019"; Xie et al., "Aggregated residual transformations for deep neural networks", CVPR 2017;
    SimAM in this place: Qin et al., "Simple attention module based speaker verification with iterative noisy label
    detection", ICASSP 2022.
    """

    def __init__(
        self,
        input_dim: int = 80,
        depth: int = 34,
        channels: int = 32,
        se: bool = False,
        simam: bool = False,
        reduction: int = 8,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        if se and simam:
            raise ValueError("se and simam exclude each other: choose one attention")
        basic = depth in BASIC
        if basic and (groups, base_width) != (1, 64):
            raise ValueError(f"groups and base_width belong to bottlenecks (depth 50, 101, 152, 221, 293), got depth {depth}")
        check_counts(channels=channels, reduction=reduction, groups=groups, base_width=base_width)

        def block(inputs: int, width: int, stride: int) -> nn.Module:
            outputs = width if basic else Bottleneck.expansion * width
            attention = PlaneSE(outputs, reduction) if se else SimAM() if simam else None
            if basic:
                return BasicBlock(inputs, width, stride, attention)
            inner = width * base_width // 64 * groups
            return Bottleneck(inputs, width, stride, attention, inner=max(inner, groups), groups=groups)

        super().__init__(input_dim, channels, BLOCKS[depth], 1 if basic else Bottleneck.expansion, block)


@register("backbone", "se_resnet")
def se_resnet(input_dim: int = 80, depth: int = 34, channels: int = 32, reduction: int = 8) -> ResNet:
    """`ResNet` with squeeze-and-excitation in each block: features [B, F, N] -> frames [B, output_dim, ceil(N / 8)].

    The arguments mean what they mean in `ResNet`; depth 50 with 64 channels and reduction 16 is SE-ResNet-50 of the paper
    behind another stem.

    Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
    """
    return ResNet(input_dim, depth, channels, se=True, reduction=reduction)


@register("backbone", "resnext")
def resnext(
    input_dim: int = 80, depth: int = 50, channels: int = 32, groups: int = 32, base_width: int = 4, se: bool = False
) -> ResNet:
    """`ResNet` of bottlenecks with grouped convolutions: features [B, F, N] -> frames [B, output_dim, ceil(N / 8)].

    The arguments mean what they mean in `ResNet`. With 64 channels the default is the paper's 32 x 4d; 32 channels halve
    all its widths.

    Xie et al., "Aggregated residual transformations for deep neural networks", CVPR 2017.
    """
    return ResNet(input_dim, depth, channels, se=se, groups=groups, base_width=base_width)
