"""CAM++, after Wang et al., "CAM++: a fast and efficient network for speaker verification using context-aware masking",
Interspeech 2023."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.models.layers import check_counts, keep_frames, masked_mean, stride_mask
from voxid.registry import register

KERNEL = 3
DILATIONS = (1, 2, 2)  # one a dense block


def segment_means(x: Tensor, length: int, mask: Tensor | None = None) -> Tensor:
    """Means [B, C, ceil(N / length)] over segments of `length` frames; a partial one is averaged over the frames that it has.

    Args:
        x: [B, C, N].
        length: Frames of a segment.
        mask: [B, 1, N]; padding does not count. A segment of nothing but padding has the mean 0.

    Example:
        >>> segment_means(torch.tensor([[[1.0, 3.0, 5.0]]]), 2)
        tensor([[[2., 5.]]])
    """
    own = torch.ones_like(x[:, :1]) if mask is None else mask.to(x.dtype)
    # The same division stands in both averages, so that it cancels: what is left is a sum over a count.
    sums = F.avg_pool1d(x * own, length, length, ceil_mode=True)
    counts = F.avg_pool1d(own, length, length, ceil_mode=True)
    return sums / counts.clamp(min=1 / (2 * length))


class FrequencyBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the bins may be halved, time stays: [B, C, F, N] -> [B, C, ceil(F / stride), N]."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(nn.Conv2d(channels, channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(keep_frames(x, mask))))
        y = self.bn2(self.conv2(keep_frames(y, mask)))
        return torch.relu(y + self.shortcut(x))


class FrontEndConvolution(nn.Module):
    """The paper's FCM: 2-D residual blocks that bring the bins to an eighth and keep time: [B, F, N] -> [B, output_dim, N]."""

    def __init__(self, input_dim: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = nn.ModuleList(FrequencyBlock(channels, stride) for stride in (2, 1, 2, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.output_dim = channels * -(-input_dim // 8)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(keep_frames(x.unsqueeze(1), mask))))
        for block in self.blocks:
            x = block(x, mask)
        return torch.relu(self.bn2(self.conv2(keep_frames(x, mask)))).flatten(1, 2)


class ContextAwareMasking(nn.Module):
    """A convolution, scaled by a gate that sees the mean of the item and of the segment around: [B, C, N] -> [B, C', N].

    Args:
        inputs, outputs: C, C'.
        dilation: Frames between the taps of the convolution.
        segment: Frames of a segment; the last one of an item may be shorter.
        reduction: The gate's hidden layer has C / reduction units.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int = 1, segment: int = 100, reduction: int = 2) -> None:
        super().__init__()
        self.segment = segment
        self.local = nn.Conv1d(inputs, outputs, KERNEL, padding=KERNEL // 2 * dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(inputs, inputs // reduction, 1)
        self.linear2 = nn.Conv1d(inputs // reduction, outputs, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # The context is one vector a segment: the gate is computed once for all of its frames, then spread over them.
        context = masked_mean(x, mask) + segment_means(x, self.segment, mask)
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        gate = gate.repeat_interleave(self.segment, dim=2)[:, :, : x.shape[2]]
        return self.local(keep_frames(x, mask)) * gate


class DenseLayer(nn.Module):
    """What one layer of a D-TDNN block adds to the channels: [B, C, N] -> [B, growth, N]."""

    def __init__(self, inputs: int, growth: int, bottleneck: int, dilation: int, segment: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm1d(inputs)
        self.linear = nn.Conv1d(inputs, bottleneck, 1, bias=False)
        self.bn2 = nn.BatchNorm1d(bottleneck)
        self.cam = ContextAwareMasking(bottleneck, growth, dilation, segment)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.linear(torch.relu(self.bn1(x)))
        return self.cam(torch.relu(self.bn2(x)), mask)


class DenseBlock(nn.Module):
    """D-TDNN block: each layer adds `growth` channels to all before, then a matrix halves them: [B, C, N] -> [B, C', N]."""

    def __init__(self, inputs: int, depth: int, growth: int, bottleneck: int, dilation: int, segment: int) -> None:
        super().__init__()
        widths = [inputs + growth * index for index in range(depth + 1)]
        self.output_dim = widths[-1] // 2
        self.layers = nn.ModuleList(DenseLayer(width, growth, bottleneck, dilation, segment) for width in widths[:-1])
        self.bn = nn.BatchNorm1d(widths[-1])
        self.linear = nn.Conv1d(widths[-1], self.output_dim, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x, mask)], dim=1)
        return self.linear(torch.relu(self.bn(x)))


@register("backbone", "campplus")
class CAMPPlus(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 2)]: a 2-D front, then three dense blocks of masked TDNN layers.

    The paper's net is this backbone (80 bins: 6,651,936 parameters, 512 channels at its end), pooling `tsp`, and a matrix
    without bias followed by a BatchNorm without weights: 7,176,224 in all with D = 512, and 6,848,544 with D = 192.

    Args:
        input_dim: F.
        channels: Width of the first TDNN layer, whose stride halves time.
        front_channels: Channels of the 2-D front.
        growth: Channels that a dense layer adds.
        bottleneck: Width inside a dense layer, in units of `growth`.
        layers: Dense layers of the three blocks.
        segment: Frames, of 20 ms each, over which the masking takes its local context.

    Example:
        >>> CAMPPlus(input_dim=80, front_channels=4, channels=16, growth=4, layers=(2, 2, 2)).eval()(torch.randn(1, 80, 25)).shape
        torch.Size([1, 9, 13])
    """

    def __init__(
        self,
        input_dim: int = 80,
        channels: int = 128,
        front_channels: int = 32,
        growth: int = 32,
        bottleneck: int = 4,
        layers: Sequence[int] = (12, 24, 16),
        segment: int = 100,
    ) -> None:
        super().__init__()
        check_counts(channels=channels, front_channels=front_channels, growth=growth, bottleneck=bottleneck, segment=segment)
        if len(layers) != len(DILATIONS) or min(layers) < 1:
            raise ValueError(
                f"layers must name the depth of {len(DILATIONS)} dense blocks, e.g. (12, 24, 16), got {list(layers)}"
            )
        if bottleneck * growth < 2:
            raise ValueError(f"bottleneck times growth must be 2 or more: the gate halves it, got {bottleneck} x {growth}")
        self.front = FrontEndConvolution(input_dim, front_channels)
        self.conv = nn.Conv1d(self.front.output_dim, channels, 5, 2, 2, bias=False)
        self.bn = nn.BatchNorm1d(channels)
        self.blocks = nn.ModuleList()
        for depth, dilation in zip(layers, DILATIONS, strict=True):
            self.blocks.append(DenseBlock(channels, depth, growth, bottleneck * growth, dilation, segment))
            channels = (channels + growth * depth) // 2
        self.last_bn = nn.BatchNorm1d(channels)
        self.output_dim = channels
        self._initialise()

    def _initialise(self) -> None:
        """Weights of the 1-D part as He et al. draw them; without it the dense blocks start with hardly any signal."""
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames out of items with `lengths` [B] frames."""
        return (lengths + 1) // 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.front(x, mask)
        x = torch.relu(self.bn(self.conv(keep_frames(x, mask))))
        mask = stride_mask(mask, 2)
        for block in self.blocks:
            x = block(x, mask)
        return torch.relu(self.last_bn(x))
