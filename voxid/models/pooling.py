"""From frames [B, C, N] to one vector [B, output_dim], without the padding. All keep a floor under the square root."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import check_counts, masked_mean, masked_std
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

    Args:
        channels: C.
        unbiased: Divide the squares by N - 1 instead of N, as wespeaker (TSTP) and CAM++ do.

    Snyder et al., "X-vectors", ICASSP 2018.
    """

    def __init__(self, channels: int, unbiased: bool = False) -> None:
        super().__init__()
        self.output_dim = 2 * channels
        self.unbiased = unbiased

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.float()  # in half precision the squares lose what tells the channels apart
        mean = masked_mean(x, mask)
        return torch.cat([mean, masked_std(x, mean, mask, unbiased=self.unbiased)], dim=1).squeeze(2)


@register("pooling", "sap")
class SelfAttentivePooling(nn.Module):
    """Weighted mean, one weight a frame (SAP): [B, C, N] -> [B, C].

    A frame's weight is the product of its hidden layer, tanh(W x + b), with a learned context vector, as a softmax over time.

    Args:
        channels: C.
        bottleneck: Width of the hidden layer.

    Cai et al., "Exploring the encoding layer and loss function in end-to-end speaker and language recognition system",
    Odyssey 2018.
    """

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        check_counts(bottleneck=bottleneck)
        self.output_dim = channels
        self.linear = nn.Conv1d(channels, bottleneck, 1)
        self.context = nn.Conv1d(bottleneck, 1, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = softmax_over_time(self.context(torch.tanh(self.linear(x))), mask)
        return (weights * x.float()).sum(dim=2)


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
        check_counts(bottleneck=bottleneck)
        self.output_dim = 2 * channels
        self.context = context
        self.linear1 = nn.Conv1d(3 * channels if context else channels, bottleneck, 1)
        self.linear2 = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = softmax_over_time(self.linear2(torch.tanh(self._hidden(x, mask))), mask)
        return torch.cat(weighted_statistics(x.float(), weights), dim=1)

    def _hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if not self.context:
            return self.linear1(x)
        mean = masked_mean(x.float(), mask)
        std = masked_std(x.float(), mean, mask, unbiased=True)
        # The statistics are the same at every frame: their share is computed once, not N times.
        frames, statistics = self.linear1.weight.split([x.shape[1], 2 * x.shape[1]], dim=1)
        shared = nn.functional.conv1d(torch.cat([mean, std], dim=1), statistics, self.linear1.bias)
        return nn.functional.conv1d(x, frames) + shared


@register("pooling", "mha")
class MultiHeadPooling(nn.Module):
    """Weighted mean, the channels in heads with weights of their own (MHA): [B, C, N] -> [B, C].

    A frame's weight in a head is the product of the head's channels with the head's query, as a softmax over time.

    Args:
        channels: C.
        heads: How many; they divide `channels`.

    India et al., "Self multi-head attention for speaker recognition", Interspeech 2019.
    """

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.output_dim = channels
        self.heads = heads
        self.query = nn.Conv1d(channels, heads, 1, groups=heads, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = softmax_over_time(self.query(x), mask).unsqueeze(2)
        return (weights * x.float().unflatten(1, (self.heads, -1))).sum(dim=3).flatten(1)


@register("pooling", "mqmha")
class MultiQueryMultiHeadPooling(nn.Module):
    """Weighted mean and standard deviation for each query and head (MQMHA): [B, C, N] -> [B, 2 Q C], Q queries.

    The channels are split in heads; each query looks at each head through two layers of its own and gives every channel of
    the head a weight. The output runs over queries, then heads, then mean and deviation of the head's channels.

    Args:
        channels: C.
        heads: How many; they divide `channels`.
        queries: Q.
        bottleneck: Width of the hidden layer of each query and head.
        per_channel: One weight a channel and frame; otherwise one weight a head and frame.

    Zhao et al., "The SpeakIn system for VoxCeleb speaker recognition challenge 2021"; "Multi-query multi-head attention pooling
    and inter-topk penalty for speaker verification", ICASSP 2022.

    Example:
        >>> MultiQueryMultiHeadPooling(channels=16, heads=4, queries=3)(torch.randn(2, 16, 5)).shape
        torch.Size([2, 96])
    """

    def __init__(self, channels: int, heads: int = 8, queries: int = 2, bottleneck: int = 64, per_channel: bool = True) -> None:
        super().__init__()
        check_heads(channels, heads)
        check_counts(queries=queries, bottleneck=bottleneck)
        self.output_dim = 2 * queries * channels
        self.heads, self.queries = heads, queries
        pairs = heads * queries
        self.linear1 = nn.Conv1d(channels, pairs * bottleneck, 1, groups=heads)
        self.linear2 = nn.Conv1d(pairs * bottleneck, pairs * (channels // heads if per_channel else 1), 1, groups=pairs)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = softmax_over_time(self.linear2(torch.tanh(self.linear1(x))), mask)
        weights = weights.unflatten(1, (self.heads, self.queries, -1))  # [B, H, Q, C/H or 1, N]
        mean, std = weighted_statistics(x.float().unflatten(1, (self.heads, 1, -1)), weights)
        return torch.stack([mean, std], dim=3).transpose(1, 2).flatten(1)


@register("pooling", "xi")
class XiPooling(nn.Module):
    """Posterior mean of a Gaussian whose frames tell their own precision (xi-vector): [B, C, N] -> [B, C], or [B, 2C].

    An uncertain frame counts less, and a short item stays near the learned prior.

    Args:
        channels: C.
        bottleneck: Width of the net that tells the precisions.
        deviation: Append the weighted standard deviation.

    Lee et al., "Xi-vector embedding for speaker recognition", IEEE Signal Processing Letters 2021.
    """

    def __init__(self, channels: int, bottleneck: int = 256, deviation: bool = False) -> None:
        super().__init__()
        check_counts(bottleneck=bottleneck)
        self.output_dim = 2 * channels if deviation else channels
        self.deviation = deviation
        self.prior_mean = nn.Parameter(torch.zeros(channels))
        self.prior_log_precision = nn.Parameter(torch.zeros(channels))
        self.linear1 = nn.Conv1d(channels, bottleneck, 1)
        self.bn = nn.BatchNorm1d(bottleneck)
        self.linear2 = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        root = nn.functional.softplus(self.linear2(self.bn(torch.relu(self.linear1(x)))).float())
        log_precision = 2.0 * root.clamp(min=5e-4, max=2e3).log()  # bounded before the logarithm: no gradient of log 0
        if mask is not None:
            log_precision = log_precision.masked_fill(~mask.bool(), torch.finfo(log_precision.dtype).min)
        prior = self.prior_log_precision[:, None].expand(len(x), -1, 1)
        weights = torch.softmax(torch.cat([log_precision, prior], dim=2), dim=2)
        frames = torch.cat([x.float(), self.prior_mean[:, None].expand(len(x), -1, 1)], dim=2)
        mean, std = weighted_statistics(frames, weights)
        return torch.cat([mean, std], dim=1) if self.deviation else mean


def softmax_over_time(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights [B, C, N] in float32 that sum to 1 over the frames of each item; padding weighs nothing."""
    scores = scores.float()
    if mask is not None:
        scores = scores.masked_fill(~mask.bool(), torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=2)


def weighted_statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the last axis under `weights` that sum to 1: [..., N] -> twice [...]."""
    mean = (weights * x).sum(dim=-1)
    variance = (weights * (x - mean.unsqueeze(-1)).square()).sum(dim=-1)
    return mean, variance.clamp(min=1e-10).sqrt()


def check_heads(channels: int, heads: int) -> None:
    """Raise `ValueError` unless the heads divide the channels."""
    if heads < 1 or channels % heads:
        raise ValueError(f"heads must divide the {channels} channels of the backbone, got {heads}")
