"""From the last frames of a separator to the masks of its sources."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voxid.errors import did_you_mean
from voxid.models.separation.uconv import GlobalNorm

MASKS = ("softmax", "sigmoid", "relu", "none")


class Activation(nn.Module):
    """What makes masks of numbers [B, S, F, N]: softmax over the sources, sigmoid, ReLU, or none (a PReLU; no mask at all).

    The softmax of one source would be 1 everywhere, whatever the net says: a sigmoid takes its place.
    """

    def __init__(self, kind: str, num_sources: int) -> None:
        super().__init__()
        if kind not in MASKS:
            raise ValueError(f"unknown mask {kind!r}: {did_you_mean(kind, MASKS)}")
        self.kind = "sigmoid" if kind == "softmax" and num_sources == 1 else kind
        self.act = nn.PReLU() if kind == "none" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "softmax":
            return x.softmax(dim=1)
        if self.kind == "sigmoid":
            return x.sigmoid()
        return x.relu() if self.kind == "relu" else self.act(x)


class DenseHead(nn.Module):
    """PReLU and one dense layer for all sources: frames [B, C, N] -> masks [B, S, F, N]."""

    def __init__(self, channels: int, num_basis: int, num_sources: int, mask: str) -> None:
        super().__init__()
        self.num_basis = num_basis
        self.act = nn.PReLU()
        self.conv = nn.Conv1d(channels, num_sources * num_basis, 1)
        self.activation = Activation(mask, num_sources)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(self.act(x)).unflatten(1, (-1, self.num_basis)))


class SlidingHead(nn.Module):
    """Head of the original net: one filter a source, which slides along the bases: frames [B, C, N] -> masks [B, S, F, N].

    A filter has F + 1 taps and is shared by all bases. `unused` is a norm that the authors' net stores and never applies. It is
    kept, frozen, so that the number of parameters is theirs.
    """

    def __init__(self, channels: int, num_basis: int, num_sources: int, mask: str) -> None:
        super().__init__()
        if num_basis % 2:
            raise ValueError(f"num_basis must be even: filters of num_basis + 1 taps slide along the bases; got {num_basis}")
        self.widen = nn.Identity() if channels == num_basis else nn.Conv1d(channels, num_basis, 1)
        self.filters = nn.Parameter(torch.empty(num_sources, num_basis + 1))
        self.bias = nn.Parameter(torch.empty(num_sources))
        for parameter in (self.filters, self.bias):  # as torch starts a convolution with these taps
            nn.init.uniform_(parameter, -1 / math.sqrt(num_basis + 1), 1 / math.sqrt(num_basis + 1))
        self.activation = Activation(mask, num_sources)
        self.unused = GlobalNorm(num_basis).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        # One matrix product for all taps: a convolution of this shape takes 4 times as long on a CPU, and 70 times backwards.
        numbers = torch.einsum("sof,bfn->bson", self.matrices(), self.widen(x))
        return self.activation(numbers + self.bias[:, None, None])

    def matrices(self) -> Tensor:
        """The filters as matrices [S, F, F]: element (o, f) is the tap that lies F / 2 + f - o from the first, or 0."""
        num_basis = self.filters.shape[1] - 1
        beyond = num_basis // 2 - 1
        return nn.functional.pad(self.filters, (beyond, beyond)).unfold(1, num_basis, 1).flip(1)


def masked(head: DenseHead | SlidingHead, x: Tensor, frames: Tensor) -> Tensor:
    """Frames of each source [B, S, F, N]: those of the mixture [B, F, N] behind its masks, or what the head gives, unmasked."""
    out = head(x)
    return out if head.activation.kind == "none" else out * frames.unsqueeze(1)
