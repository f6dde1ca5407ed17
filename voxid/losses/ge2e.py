"""Generalised end-to-end loss: every item of a batch against the centroid of every speaker of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.losses.groups import Groups, groups
from voxid.losses.similarity import ScaledCosine
from voxid.registry import register


@register("loss", "ge2e")
class GE2E(nn.Module):
    """Items [B, D] near the centroid of their speaker and far from the others (GE2E) -> loss []; lower is better.

    The centroid of its own speaker is taken without the item itself. The label decides who belongs together, in any order;
    speakers with one item in the batch are left out, and count as no hit.

    Args:
        embedding_dim, num_classes: Not needed; there are no class weights.
        variant: ``"softmax"`` over all centroids, or ``"contrast"`` with the nearest wrong one.
        scale, bias: Of the similarity, learned from these values on.

    Raises:
        ModelError: ``E_BATCH`` in `forward`, fewer than two speakers with two items.

    Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018.
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, variant: str = "softmax", scale: float = 10.0, bias: float = -5.0
    ) -> None:
        super().__init__()
        if variant not in ("softmax", "contrast"):
            raise ValueError(f"variant must be 'softmax' or 'contrast', got {variant!r}")
        self.variant = variant
        self.similarity = ScaledCosine(scale, bias)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]: the nearest centroid is the own one."""
        batch = groups(label, "ge2e")
        with torch.autocast(embedding.device.type, enabled=False):
            scores = self.similarity(_cosines(batch.take(F.normalize(embedding.float())), batch))
        own = batch.own()
        hits = batch.back(scores.argmax(dim=2) == own)
        scores, own = scores[batch.present], own[batch.present]
        return (F.cross_entropy(scores, own) if self.variant == "softmax" else _contrast(scores, own)), hits


def _cosines(items: Tensor, batch: Groups) -> Tensor:
    """Cosines [P, M, P] of items [P, M, D] with centroids, the own one without the item."""
    total = items.sum(dim=1)
    others = torch.einsum("pmd,qd->pmq", items, F.normalize(total))  # the direction of a sum is that of the mean
    own = (items * F.normalize(total.unsqueeze(1) - items, dim=2)).sum(dim=2)
    return others.scatter(2, batch.own().unsqueeze(2), own.unsqueeze(2))


def _contrast(scores: Tensor, own: Tensor) -> Tensor:
    chance = torch.sigmoid(scores)
    rival = chance.scatter(1, own[:, None], 0.0).amax(dim=1)
    return (1.0 - chance.gather(1, own[:, None])[:, 0] + rival).mean()
