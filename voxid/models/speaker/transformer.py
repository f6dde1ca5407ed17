"""Transformer encoder, after Vaswani et al., "Attention is all you need", NeurIPS 2017."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxid.models.layers import check_counts
from voxid.registry import register

POSITIONS = ("none", "sinusoidal")


class SelfAttention(nn.Module):
    """Multi-head self-attention that never looks at padding: [B, N, C] -> [B, N, C].

    The weights have the names that they have in `torch.nn.MultiheadAttention`, and so state dicts of either load in the other.
    Its fast path is left out on purpose: it holds all N x N weights at once and runs out of memory on an hour of speech.

    Args:
        width: C, a multiple of `num_heads`.
        num_heads: Heads.
        dropout: Share of the attention weights that are dropped in training.
    """

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"the width must be a multiple of num_heads, got width {width} and num_heads {num_heads}")
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, frames, width = x.shape
        packed = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = packed.view(batch, frames, 3, self.num_heads, width // self.num_heads).permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask.bool().unsqueeze(1)  # [B, 1, 1, N]: the same keys for every head and query
        drop = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=drop)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, frames, width))


class TransformerLayer(nn.Module):
    """Self-attention and a two-layer net at every frame, each added to its input and then normalised: [B, N, C] -> [B, N, C].

    The same weights under the same names as `torch.nn.TransformerEncoderLayer`, with its default ReLU and norm behind.
    """

    def __init__(self, width: int, num_heads: int, ffn_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads, dropout)
        self.linear1 = nn.Linear(width, ffn_dim)
        self.linear2 = nn.Linear(ffn_dim, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm1(x + self.dropout(self.self_attn(x, mask)))
        hidden = self.dropout(torch.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(hidden)))


def sinusoids(num_frames: int, width: int) -> Tensor:
    """Sinusoidal positions [N, C]: even columns are sines, odd ones cosines, of wavelengths from 2 pi to 20000 pi frames.

    Example:
        >>> sinusoids(2, 2)
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angles = torch.arange(num_frames, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width].float()


@register("backbone", "transformer")
class Transformer(nn.Module):
    """Features [B, F, N] -> frames [B, d_model, N].

    The defaults with ``input_dim=40`` and mean pooling are the sample code of the HW4 task in H.-Y. Lee's machine learning
    course (National Taiwan University): a linear layer and one Transformer layer, without positions.

    Args:
        input_dim: F.
        d_model: Width; a linear layer leads from F to it. None: no such layer, and the width is F.
        num_heads: Heads of the attention.
        ffn_dim: Hidden width of the net at every frame.
        num_layers: Layers.
        dropout: Share of values dropped in training.
        positions: "none", or "sinusoidal" to add the encoding of Vaswani et al. before the first layer. Without it the layers
            do not know the order of the frames.

    Raises:
        ValueError: A width that `num_heads` does not divide, no layers, or an unknown kind of positions.

    Example:
        >>> Transformer(input_dim=40)(torch.randn(2, 40, 128)).shape
        torch.Size([2, 80, 128])
    """

    def __init__(
        self,
        input_dim: int = 80,
        d_model: int | None = 80,
        num_heads: int = 2,
        ffn_dim: int = 256,
        num_layers: int = 1,
        dropout: float = 0.1,
        positions: str = "none",
    ) -> None:
        super().__init__()
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {positions!r}")
        check_counts(d_model=d_model, ffn_dim=ffn_dim, num_layers=num_layers)
        self.output_dim = width = input_dim if d_model is None else d_model
        self.positions = positions
        self.prenet = nn.Identity() if d_model is None else nn.Linear(input_dim, d_model)
        self.layers = nn.ModuleList(TransformerLayer(width, num_heads, ffn_dim, dropout) for _ in range(num_layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.prenet(x.transpose(1, 2))
        if self.positions == "sinusoidal":
            x = x + sinusoids(x.shape[1], x.shape[2]).to(x)
        for layer in self.layers:
            x = layer(x, mask)
        return x.transpose(1, 2)
