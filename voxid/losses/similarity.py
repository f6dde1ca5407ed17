"""The learned similarity of GE2E and its kin: a scaled and shifted cosine."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voxid.losses.cosine import check_scale


class ScaledCosine(nn.Module):
    """scale * cosine + bias; the scale is learned as its logarithm, so that it stays above zero.

    Args:
        scale: At the start.
        bias: At the start.

    Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018.
    """

    def __init__(self, scale: float = 10.0, bias: float = -5.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(check_scale(scale))))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, cosine: Tensor) -> Tensor:
        """Similarities, higher = nearer, of cosines of any shape."""
        return self.log_scale.float().exp() * cosine + self.bias.float()
