"""Conformer, after Gulati et al., "Conformer: convolution-augmented Transformer for speech recognition", Interspeech 2020,
in the variant of torchaudio: plain self-attention without positions, one kernel of odd length, no subsampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.models.layers import check_counts, keep_frames
from voxid.models.speaker.transformer import SelfAttention
from voxid.registry import register


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the frames inside the mask only: [B, C, N] -> [B, C, N]; padding becomes 0 in training."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None or not self.training:
            return super().forward(x)
        frames, keep = x.transpose(1, 2), mask[:, 0].bool()
        inside = super().forward(frames[keep])
        normal = torch.zeros(frames.shape, dtype=inside.dtype, device=inside.device)
        return normal.index_put((keep,), inside).transpose(1, 2)


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm of one group whose statistics are those of an item's frames inside the mask: [B, C, N] -> [B, C, N]."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        count = (mask.sum(dim=(1, 2), keepdim=True) * x.shape[1]).clamp(min=1)
        mean = (wide * mask).sum(dim=(1, 2), keepdim=True) / count
        variance = ((wide - mean).square() * mask).sum(dim=(1, 2), keepdim=True) / count
        normal = (wide - mean) * (variance + self.eps).rsqrt()
        return (normal * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class FeedForward(nn.Module):
    """LayerNorm and a two-layer net at every frame: [B, N, C] -> [B, N, C]."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.sequential = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.sequential(x)


class ConvolutionModule(nn.Module):
    """LayerNorm, a gated linear unit, a depthwise convolution over time, a norm, SiLU, a linear layer: [B, N, C] -> [B, N, C].

    Padding is set to zero before the convolution: at its end an item meets what it would meet alone.
    """

    def __init__(self, width: int, kernel_size: int, dropout: float = 0.0, use_group_norm: bool = False) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        # A Sequential for the names of its weights only; forward walks through it by hand because two of its parts need the mask.
        self.sequential = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1),
            nn.GLU(dim=1),
            nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width),
            MaskedGroupNorm(1, width) if use_group_norm else MaskedBatchNorm(width),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        widen, gate, depthwise, norm, activation, project, dropout = self.sequential
        x = gate(widen(self.layer_norm(x).transpose(1, 2)))
        x = norm(depthwise(keep_frames(x, mask)), mask)
        return dropout(project(activation(x))).transpose(1, 2)


class ConformerLayer(nn.Module):
    """Half a feed-forward step, self-attention, convolution, half a feed-forward step, LayerNorm: [B, N, C] -> [B, N, C]."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        ffn_dim: int,
        kernel_size: int,
        dropout: float = 0.0,
        use_group_norm: bool = False,
        convolution_first: bool = False,
    ) -> None:
        super().__init__()
        self.convolution_first = convolution_first
        self.ffn1 = FeedForward(width, ffn_dim, dropout)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = SelfAttention(width, num_heads, dropout)
        self.self_attn_dropout = nn.Dropout(dropout)
        self.conv_module = ConvolutionModule(width, kernel_size, dropout, use_group_norm)
        self.ffn2 = FeedForward(width, ffn_dim, dropout)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + 0.5 * self.ffn1(x)
        if self.convolution_first:
            x = x + self.conv_module(x, mask)
        x = x + self.self_attn_dropout(self.self_attn(self.self_attn_layer_norm(x), mask))
        if not self.convolution_first:
            x = x + self.conv_module(x, mask)
        return self.final_layer_norm(x + 0.5 * self.ffn2(x))


@register("backbone", "conformer")
class Conformer(nn.Module):
    """Features [B, F, N] -> frames [B, d_model, N].

    The layers have torchaudio's weights under torchaudio's names: a state dict of ``torchaudio.models.Conformer`` loads as it is
    where `d_model` is None, and with ``strict=False`` (only `prenet` is missing) where it is a number. Unlike there, padding is
    heard neither by the convolution nor by its norm.

    Args:
        input_dim: F.
        d_model: Width; a linear layer `prenet` leads from F to it. None: no such layer, and the width is F.
        num_heads: Heads of the attention.
        ffn_dim: Hidden width of the feed-forward steps.
        num_layers: Layers; each has 592,992 parameters with the other defaults.
        kernel_size: Frames that the depthwise convolution sees, an odd number.
        dropout: Share of values dropped in training.
        use_group_norm: Normalise each item by itself (GroupNorm) instead of by the batch (BatchNorm).
        convolution_first: The convolution before the attention instead of behind it.

    Raises:
        ValueError: An even kernel, a width that `num_heads` does not divide, or no layers.

    Example:
        >>> Conformer(input_dim=40)(torch.randn(2, 40, 128)).shape
        torch.Size([2, 224, 128])
    """

    def __init__(
        self,
        input_dim: int = 80,
        d_model: int | None = 224,
        num_heads: int = 2,
        ffn_dim: int = 256,
        num_layers: int = 3,
        kernel_size: int = 31,
        dropout: float = 0.0,
        use_group_norm: bool = False,
        convolution_first: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that the length stays, got {kernel_size}")
        check_counts(d_model=d_model, ffn_dim=ffn_dim, num_layers=num_layers, kernel_size=kernel_size)
        self.output_dim = width = input_dim if d_model is None else d_model
        self.prenet = nn.Identity() if d_model is None else nn.Linear(input_dim, d_model)
        self.conformer_layers = nn.ModuleList(
            ConformerLayer(width, num_heads, ffn_dim, kernel_size, dropout, use_group_norm, convolution_first)
            for _ in range(num_layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.prenet(x.transpose(1, 2))
        for layer in self.conformer_layers:
            x = layer(x, mask)
        return x.transpose(1, 2)
