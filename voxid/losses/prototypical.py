"""Prototypical losses: an item is told from its nearness to the mean of the other items of its speaker."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.losses.groups import Groups, groups
from voxid.losses.similarity import ScaledCosine
from voxid.registry import register


@register("loss", "prototypical")
class Prototypical(nn.Module):
    """Softmax over minus the squared distances of a query to the speakers' prototypes: items [B, D] -> loss []; lower is better.

    The items of a speaker are the query in turn: in turn m the m-th item of every speaker is left out of the mean of its
    items, the prototype, and is told among all prototypes. The label decides who belongs together, in any order; speakers with
    one item in the batch are left out, and count as no hit.

    Args:
        embedding_dim, num_classes: Not needed; there are no class weights.

    Raises:
        ModelError: ``E_BATCH`` in `forward`, fewer than two speakers with two items.

    Snell et al., "Prototypical networks for few-shot learning", NeurIPS 2017; for speakers Chung et al., "In defence of metric
    learning for speaker recognition", Interspeech 2020, where the last item is the only query.
    """

    def __init__(self, embedding_dim: int, num_classes: int) -> None:
        super().__init__()

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]: the nearest prototype is the own one."""
        batch = groups(label, "prototypical")
        with torch.autocast(embedding.device.type, enabled=False):
            items = batch.take(embedding.float())
            distance = torch.cdist(  # without the matrix product: it loses the digits of small distances
                items.transpose(0, 1),
                _prototypes(items, batch).transpose(0, 1),
                compute_mode="donot_use_mm_for_euclid_dist",
            )
        return _classify(-distance.square().transpose(0, 1), batch)


@register("loss", "angular_prototypical")
class AngularPrototypical(nn.Module):
    """As `Prototypical`, with a learned scale and bias on the cosine in the place of the distance; lower is better.

    Args:
        embedding_dim, num_classes: Not needed; there are no class weights.
        scale, bias: Of the similarity, learned from these values on.

    Raises:
        ModelError: ``E_BATCH`` in `forward`, fewer than two speakers with two items.

    Chung et al., "In defence of metric learning for speaker recognition", Interspeech 2020.
    """

    def __init__(self, embedding_dim: int, num_classes: int, scale: float = 10.0, bias: float = -5.0) -> None:
        super().__init__()
        self.similarity = ScaledCosine(scale, bias)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]: the nearest prototype is the own one."""
        batch = groups(label, "angular_prototypical")
        with torch.autocast(embedding.device.type, enabled=False):
            items = batch.take(embedding.float())
            prototypes = F.normalize(_prototypes(items, batch), dim=2)
            cosine = torch.einsum("pmd,qmd->pmq", F.normalize(items, dim=2), prototypes)
            return _classify(self.similarity(cosine), batch)


def _prototypes(items: Tensor, batch: Groups) -> Tensor:
    """Mean [P, M, D] of a speaker's items in each turn: without the item whose turn it is, where there is one."""
    count = batch.present.sum(dim=1, keepdim=True) - batch.present.int()
    return (items.sum(dim=1, keepdim=True) - items) / count.unsqueeze(2)


def _classify(logits: Tensor, batch: Groups) -> tuple[Tensor, Tensor]:
    """Cross-entropy and hits of logits [P, M, P] of query (speaker, turn) for each prototype."""
    own = batch.own()
    hits = batch.back(logits.argmax(dim=2) == own)
    return F.cross_entropy(logits[batch.present], own[batch.present]), hits
