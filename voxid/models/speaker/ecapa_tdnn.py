"""ECAPA-TDNN, after Desplanques et al., "ECAPA-TDNN: emphasized channel attention, propagation and aggregation in
TDNN based speaker verification", Interspeech 2020."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import ConvReluNorm, Res2Conv, SqueezeExcitation, check_counts
from voxid.registry import register


class SERes2Block(nn.Module):
    """k=1 CRB, dilated Res2 convolution, k=1 CRB, squeeze-excitation, and the input added: [B, C, N] -> [B, C, N]."""

    def __init__(self, channels: int, dilation: int, kernel_size: int = 3, scale: int = 8, se_bottleneck: int = 128) -> None:
        super().__init__()
        self.expand = ConvReluNorm(channels, channels)
        self.res2 = Res2Conv(channels, kernel_size, dilation, scale)
        self.project = ConvReluNorm(channels, channels)
        self.se = SqueezeExcitation(channels, se_bottleneck)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.se(self.project(self.res2(self.expand(x), mask)), mask)


@register("backbone", "ecapa_tdnn")
class ECAPATDNN(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, N].

    Args:
        input_dim: F.
        channels: C, the width of the three SE-Res2Blocks (512 and 1024 in the paper); a multiple of `scale`.
        output_dim: Width after the outputs of the three blocks are joined; 1536 whatever C is.
        scale: Groups of the Res2 convolution.
        se_bottleneck: Hidden width of squeeze-excitation.
        aggregation_norm: BatchNorm after the joining convolution (CRB). False gives wespeaker's variant
            (6.19 M parameters with C=512, 14.66 M with C=1024, both with ASP and D=192).
    """

    def __init__(
        self,
        input_dim: int = 80,
        channels: int = 512,
        output_dim: int = 1536,
        scale: int = 8,
        se_bottleneck: int = 128,
        aggregation_norm: bool = True,
    ) -> None:
        super().__init__()
        check_counts(channels=channels, output_dim=output_dim, se_bottleneck=se_bottleneck)
        self.output_dim = output_dim
        self.stem = ConvReluNorm(input_dim, channels, kernel_size=5)
        self.blocks = nn.ModuleList(
            SERes2Block(channels, dilation, scale=scale, se_bottleneck=se_bottleneck) for dilation in (2, 3, 4)
        )
        if aggregation_norm:
            self.aggregate: nn.Module = ConvReluNorm(3 * channels, output_dim)
        else:
            self.aggregate = nn.Sequential(nn.Conv1d(3 * channels, output_dim, 1), nn.ReLU())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.stem(x, mask)
        outputs = []
        for block in self.blocks:
            x = block(x, mask)
            outputs.append(x)
        return self.aggregate(torch.cat(outputs, dim=1))
