"""From frames [B, C, N] to one vector [B, output_dim], without the padding. All keep a floor under the square root."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import masked_mean, masked_std
from voxid.registry import register


@register("pooling", "tap")
class TemporalAveragePooling(nn.Module):
    """Mean over time (TAP): [B, C, N] -> [B, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.output_dim = channels

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked_mean(x, mask).squeeze(2)


@register("pooling", "tsp")
class TemporalStatisticsPooling(nn.Module):
    """Mean and standard deviation over time (TSP): [B, C, N] -> [B, 2C].

    Snyder et al., "X-vectors", ICASSP 2018.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.output_dim = 2 * channels

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mean = masked_mean(x, mask)
        return torch.cat([mean, masked_std(x, mean, mask)], dim=1).squeeze(2)


@register("pooling", "asp")
class AttentiveStatisticsPooling(nn.Module):
    """Weighted mean and standard deviation, one weight a channel and frame (ASP): [B, C, N] -> [B, 2C].

    Args:
        channels: C.
        bottleneck: Width of the attention's hidden layer.
        context: Let the attention see the mean and deviation of the whole item beside each frame, as ECAPA-TDNN does.

    Okabe et al., "Attentive statistics pooling", Interspeech 2018; Desplanques et al., "ECAPA-TDNN", Interspeech 2020.
    """

    def __init__(self, channels: int, bottleneck: int = 128, context: bool = True) -> None:
        super().__init__()
        self.output_dim = 2 * channels
        self.context = context
        self.linear1 = nn.Conv1d(3 * channels if context else channels, bottleneck, 1)
        self.linear2 = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = self.linear2(torch.tanh(self._hidden(x, mask))).float()
        if mask is not None:
            scores = scores.masked_fill(~mask.bool(), torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=2)
        x = x.float()
        mean = (weights * x).sum(dim=2)
        variance = (weights * (x - mean.unsqueeze(2)).square()).sum(dim=2)
        return torch.cat([mean, variance.clamp(min=1e-10).sqrt()], dim=1)

    def _hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if not self.context:
            return self.linear1(x)
        mean = masked_mean(x.float(), mask)
        std = masked_std(x.float(), mean, mask, unbiased=True)
        # The statistics are the same at every frame: their share is computed once, not N times.
        frames, statistics = self.linear1.weight.split([x.shape[1], 2 * x.shape[1]], dim=1)
        shared = nn.functional.conv1d(torch.cat([mean, std], dim=1), statistics, self.linear1.bias)
        return nn.functional.conv1d(x, frames) + shared
