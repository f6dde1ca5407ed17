"""Layers of PHASEN on maps [B, C, F, N]: they heed the end of an item, and can go on where the frames before them ended."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.models.layers import keep_frames, masked_mean

# What a stream carries from push to push: for each layer that looks back, what it saw last.
State = dict[nn.Module, Any]

SILENCE = 1e-12  # mean square, -120 dB re full scale: softer input is not brought any higher than input of this level


def extend(x: Tensor, before: int, state: State | None, layer: nn.Module) -> Tensor:
    """x [..., N] with `before` frames ahead of it [..., `before` + N]: zeros, or those that `layer` saw last in this stream."""
    if not before:
        return x
    if state is None:
        return F.pad(x, (before, 0))
    past = state.get(layer)
    x = F.pad(x, (before, 0)) if past is None else torch.cat([past, x], dim=-1)
    state[layer] = x[..., -before:].clone()  # a copy: a view would hold all of x
    return x


class Level(nn.Module):
    """Root mean square [B, 1, 1, 1] of the bins of a spectrum [B, 2, F, N], which brings every input to one scale.

    Args:
        power: Sum of the squared analysis window: what white noise of a mean square of 1 has in a bin.
        memory: Frames that the level of a frame is taken over, itself and those before it [B, 1, 1, N]; None: the whole item.
    """

    def __init__(self, power: float, memory: int | None = None) -> None:
        super().__init__()
        self.least = power * SILENCE
        self.memory = memory

    def forward(self, spectrum: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        power = spectrum.square().sum(dim=1).mean(dim=1, keepdim=True)
        if self.memory is None:
            mean = masked_mean(power, mask)
        else:
            # Averages of power and of ones: the frames before the first one, zeros in both, do not count.
            heard = torch.cat([power, torch.ones_like(power)], dim=1)
            sums = F.avg_pool1d(extend(heard, self.memory - 1, state, self), self.memory, stride=1)
            mean = sums[:, :1] / sums[:, 1:]
        return mean.clamp(min=self.least).sqrt().unsqueeze(1)


class MaskedConv2d(nn.Conv2d):
    """Convolution that keeps bins and frames, and hears silence behind the end of an item.

    Args:
        inputs, outputs: Channels.
        kernel: Bins and frames, both odd.
        causal: All frames of the kernel but its last lie in the past.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int] = (1, 1), causal: bool = False) -> None:
        reach = kernel[1] - 1
        super().__init__(inputs, outputs, kernel, padding=(kernel[0] // 2, 0 if causal else reach // 2))
        self.before = reach if causal else 0

    def forward(self, x: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        if self.kernel_size[1] > 1:
            x = keep_frames(x, mask)
        return super().forward(extend(x, self.before, state, self))


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the frames inside the mask only; padding becomes 0 in training."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None or not self.training:
            return super().forward(x)
        frames, keep = x.permute(0, 3, 1, 2), mask[:, 0].bool()
        inside = super().forward(frames[keep].unsqueeze(3)).squeeze(3)
        normal = torch.zeros(frames.shape, dtype=inside.dtype, device=inside.device)
        return normal.index_put((keep,), inside).permute(0, 2, 3, 1)


class ConvNormRelu(nn.Module):
    """Convolution, BatchNorm, ReLU: [B, C, F, N] -> [B, C', F, N]."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int] = (1, 1), causal: bool = False) -> None:
        super().__init__()
        self.conv = MaskedConv2d(inputs, outputs, kernel, causal)
        self.norm = MaskedBatchNorm2d(outputs)

    def forward(self, x: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        return torch.relu(self.norm(self.conv(x, mask, state), mask))


class GlobalLayerNorm(nn.Module):
    """Mean 0 and variance 1 over all that an item has inside the mask (or over each frame), then a scale and a shift per channel.

    Args:
        channels: C.
        per_frame: Statistics over channels and bins of one frame, so that no frame hears a later one.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, per_frame: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.per_frame, self.eps = per_frame, eps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        mean = self._mean(wide, mask)
        variance = self._mean((wide - mean).square(), mask)
        normal = (wide - mean) * (variance + self.eps).rsqrt()
        return (normal * self.weight + self.bias).to(x.dtype)

    def _mean(self, x: Tensor, mask: Tensor | None) -> Tensor:
        mean = x.mean(dim=(1, 2), keepdim=True)
        return mean if self.per_frame else masked_mean(mean[:, 0], mask).unsqueeze(1)
