"""Blocks of PHASEN: the frequency transformation, the exchange between the streams, and the block that is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxid.models.enhancement.phasen_layers import ConvNormRelu, GlobalLayerNorm, MaskedConv2d, State


@dataclass(frozen=True)
class Layout:
    """Where the paper and its best-known open implementation part.

    Args:
        attention: What the attention of the frequency transformation weighs: "frequency", each bin, or "channel", each channel.
        phase_kernel: Bins and frames of the first phase convolution of a block.
        pre_kernel: Bins and frames of the second convolution before the blocks, in the phase stream.
        norm_first: The phase stream is normalised before each convolution, not behind it.
    """

    attention: str
    phase_kernel: tuple[int, int]
    pre_kernel: tuple[int, int]
    norm_first: bool


LAYOUTS = {
    "paper": Layout("frequency", (3, 5), (1, 25), norm_first=True),
    "huyanxin": Layout("channel", (5, 5), (3, 25), norm_first=False),
}


@dataclass(frozen=True)
class Widths:
    """Sizes that the parts of a block share: bins F, channels of the two streams, channels and frames of the attention."""

    bins: int
    channels: int
    phase_channels: int
    attention_channels: int
    attention_kernel: int


class FrequencyTransform(nn.Module):
    """FTB: an attention from all channels and nine frames, then every bin from all bins: [B, C, F, N] -> [B, C, F, N].

    The F x F matrix is the same for all channels and frames. Harmonics lie far apart: small kernels do not join them, it does.
    """

    def __init__(self, widths: Widths, layout: Layout, causal: bool = False) -> None:
        super().__init__()
        bins, channels = widths.bins, widths.channels
        self.over_bins = layout.attention == "frequency"
        self.squeeze = ConvNormRelu(channels, widths.attention_channels)
        weighed = bins if self.over_bins else channels
        self.attention = ConvNormRelu(widths.attention_channels * bins, weighed, (1, widths.attention_kernel), causal)
        self.transform = nn.Linear(bins, bins, bias=False)
        self.join = ConvNormRelu(2 * channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        weights = self.attention(self.squeeze(x, mask).flatten(1, 2).unsqueeze(2), mask, state)
        weighed = x * (weights.transpose(1, 2) if self.over_bins else weights)
        return self.join(torch.cat([torch.matmul(self.transform.weight, weighed), x], dim=1), mask)


class Exchange(nn.Module):
    """One stream gated by the other: x * tanh(1x1 convolution of y), [B, C, F, N] and [B, C', F, N] -> [B, C, F, N]."""

    def __init__(self, channels: int, others: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(others, channels, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * torch.tanh(self.conv(y))


class PhaseConv(nn.Module):
    """Global layer norm and a convolution, in the order of the layout, without an activation: [B, C, F, N] -> [B, C, F, N]."""

    def __init__(self, channels: int, kernel: tuple[int, int], norm_first: bool, causal: bool = False) -> None:
        super().__init__()
        self.norm = GlobalLayerNorm(channels, per_frame=causal)
        self.conv = MaskedConv2d(channels, channels, kernel, causal)
        self.norm_first = norm_first

    def forward(self, x: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        if self.norm_first:
            return self.conv(self.norm(x, mask), mask, state)
        return self.norm(self.conv(x, mask, state), mask)


class TwoStreamBlock(nn.Module):
    """TSB: an amplitude stream [B, C, F, N] and a phase stream [B, C', F, N], which gate each other at the end.

    Both gates see the other stream as it was before the exchange.
    """

    def __init__(self, widths: Widths, layout: Layout, causal: bool = False) -> None:
        super().__init__()
        channels, phases = widths.channels, widths.phase_channels
        self.amplitude = nn.ModuleList(
            [
                FrequencyTransform(widths, layout, causal),
                *(ConvNormRelu(channels, channels, kernel, causal) for kernel in ((5, 5), (1, 25), (5, 5))),
                FrequencyTransform(widths, layout, causal),
            ]
        )
        kernels = (layout.phase_kernel, (1, 25))
        self.phase = nn.ModuleList(PhaseConv(phases, kernel, layout.norm_first, causal) for kernel in kernels)
        self.to_amplitude = Exchange(channels, phases)
        self.to_phase = Exchange(phases, channels)

    def forward(
        self, amplitude: Tensor, phase: Tensor, mask: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, Tensor]:
        for layer in self.amplitude:
            amplitude = layer(amplitude, mask, state)
        for layer in self.phase:
            phase = layer(phase, mask, state)
        return self.to_amplitude(amplitude, phase), self.to_phase(phase, amplitude)
