"""Angles between embeddings and classes: what the margin losses share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def class_rows(embedding_dim: int, num_classes: int, sub_centers: int = 1) -> nn.Parameter:
    """Weights of classes: [K, D], or [K, S, D] with several sub-centres each; the first axis is the class in both."""
    if sub_centers < 1:
        raise ValueError(f"sub_centers must be at least 1, got {sub_centers}")
    rows = nn.init.xavier_normal_(torch.empty(num_classes * sub_centers, embedding_dim))
    return nn.Parameter(rows.view(num_classes, sub_centers, embedding_dim) if sub_centers > 1 else rows)


def class_cosines(embedding: Tensor, weight: Tensor) -> Tensor:
    """Cosines [B, K] in float32 of embeddings [B, D] with classes [K, D], or with the nearest sub-centre of each, [K, S, D].

    Example:
        >>> class_cosines(torch.tensor([[2.0, 0.0]]), torch.eye(2))
        tensor([[1., 0.]])
    """
    # Angles need float32: in bfloat16 a cosine has three digits.
    with torch.autocast(embedding.device.type, enabled=False):
        rows = F.normalize(weight.float(), dim=-1)
        if rows.ndim == 2:
            return F.linear(F.normalize(embedding.float()), rows)
        cosine = F.linear(F.normalize(embedding.float()), rows.flatten(0, 1))
        return cosine.unflatten(1, rows.shape[:2]).amax(dim=2)


def check_scale(scale: float) -> float:
    """The factor on the cosines; a `ValueError` unless it is positive and finite: at 0 nothing is learned."""
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale must be above 0 and finite, got {scale}")
    return scale


def turn(cosine: Tensor, angle: float) -> Tensor:
    """Cosine of an angle that has grown by `angle` (radians; below zero it shrinks), with a finite gradient everywhere.

    Example:
        >>> turn(torch.tensor([1.0, 0.0]), math.pi / 6)
        tensor([ 0.8660, -0.5000])
    """
    sine = (1.0 - cosine.square()).clamp(min=1e-12).sqrt()  # a floor: the gradient at cosine = 1 stays finite
    return cosine * math.cos(angle) - sine * math.sin(angle)


def nearer(cosine: Tensor, angle: float) -> Tensor:
    """Cosine of an angle that has shrunk by `angle` >= 0; it goes on as a straight line above 1, so that it never falls.

    Example:
        >>> nearer(torch.tensor([0.0, 0.8660, 1.0]), math.pi / 6)
        tensor([0.5000, 1.0000, 1.1340])
    """
    return torch.where(cosine < math.cos(angle), turn(cosine, -angle), cosine + (1.0 - math.cos(angle)))
