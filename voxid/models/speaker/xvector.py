"""The x-vector net, after Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", ICASSP 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxid.models.layers import check_counts, keep_frames
from voxid.registry import register

CONTEXT = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))  # kernel and dilation of each layer
REACH = sum((kernel - 1) * dilation for kernel, dilation in CONTEXT)  # frames that layers without padding take off: 14


class TimeDelayLayer(nn.Module):
    """Dilated convolution without padding, ReLU, BatchNorm: [B, C, N] -> [B, C', N - (kernel_size - 1) * dilation]."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int, affine: bool) -> None:
        super().__init__()
        self.conv_1d = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)
        self.bn = nn.BatchNorm1d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.relu(self.conv_1d(x)))


@register("backbone", "xvector")
class XVector(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, N]: five time-delay layers that see 15 frames.

    The names of the weights are those of wespeaker's XVEC, whose encoder has 4.61 M parameters in all with F = 80, statistics
    pooling and two linear layers of 512; 2,811,356 of them are these five layers.

    Args:
        input_dim: F.
        channels: Width of the first four layers.
        output_dim: Width of the last layer.
        affine: Let the norms have a scale and a shift; Kaldi's have none.
        padding: Zeros before and behind an item so that it keeps its length. False: layers without padding, as in Kaldi and
            wespeaker; max(N - 14, 1) frames remain, the first one centred at the eighth frame of the item.

    Example:
        >>> XVector(40, channels=8, output_dim=12)(torch.randn(2, 40, 100)).shape
        torch.Size([2, 12, 100])
    """

    def __init__(
        self, input_dim: int = 80, channels: int = 512, output_dim: int = 1500, affine: bool = False, padding: bool = True
    ) -> None:
        super().__init__()
        check_counts(channels=channels, output_dim=output_dim)
        self.output_dim = output_dim
        self.padding = padding
        widths = [input_dim, channels, channels, channels, channels, output_dim]
        self.frame_1, self.frame_2, self.frame_3, self.frame_4, self.frame_5 = (
            TimeDelayLayer(widths[place], widths[place + 1], kernel, dilation, affine)
            for place, (kernel, dilation) in enumerate(CONTEXT)
        )

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames [B] that remain of `lengths` [B]."""
        return lengths if self.padding else (lengths - REACH).clamp(min=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.padding:
            # Frames behind the end of an item reach none of those that num_frames keeps, unless it is too short for one:
            # then zeros fill it up, in a batch as alone.
            x = keep_frames(x, mask)
            x = functional.pad(x, (0, max(REACH + 1 - x.shape[2], 0)))
        for layer, (kernel, dilation) in zip(self._layers(), CONTEXT, strict=True):
            if self.padding and kernel > 1:
                reach = (kernel - 1) // 2 * dilation
                x = functional.pad(keep_frames(x, mask), (reach, reach))
            x = layer(x)
        return x

    def _layers(self) -> tuple[TimeDelayLayer, ...]:
        return self.frame_1, self.frame_2, self.frame_3, self.frame_4, self.frame_5
