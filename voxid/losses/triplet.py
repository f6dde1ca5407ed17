"""Triplet loss: an item nearer to its own speaker's items than to any other's, by a margin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.losses.groups import too_few
from voxid.registry import register


@register("loss", "triplet")
class Triplet(nn.Module):
    """Mean of [d(anchor, positive) - d(anchor, negative) + margin]+ over mined triplets: [B, D] -> loss []; lower is better.

    d is the Euclidean distance of embeddings of unit length (0 ... 2). The label decides who belongs together.

    Args:
        embedding_dim, num_classes: Not needed; there are no class weights.
        margin: By how much the negative shall be farther. No schedule moves it: without a margin all embeddings fall together.
        mining: ``"hard"``, for each anchor the farthest positive and the nearest negative; or ``"semihard"``, for each anchor and
            positive the nearest negative that is farther than the positive (the farthest of all where none is).
        soft_margin: log(1 + exp(.)) instead of [.]+: triplets that are right go on to pull.

    Raises:
        ModelError: ``E_BATCH`` in `forward`, no speaker with two items or no other speaker.

    Schroff et al., "FaceNet", CVPR 2015; Hermans et al., "In defense of the triplet loss for person re-identification", 2017.
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, margin: float = 0.3, mining: str = "hard", soft_margin: bool = False
    ) -> None:
        super().__init__()
        if mining not in ("hard", "semihard"):
            raise ValueError(f"mining must be 'hard' or 'semihard', got {mining!r}")
        self.least_gap = margin  # not `margin`: that is the name a schedule looks for
        self.mining = mining
        self.soft_margin = soft_margin

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]: the nearest other item is of the own speaker."""
        same = label[:, None] == label
        itself = torch.eye(len(label), dtype=torch.bool, device=label.device)
        if not bool(((same & ~itself).any(dim=1) & ~same.all(dim=1)).any()):
            raise too_few(label, "triplet", "a speaker with two utterances and another speaker")
        with torch.autocast(embedding.device.type, enabled=False):
            unit = F.normalize(embedding.float())
            distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distance.detach().masked_fill(itself, torch.inf).argmin(dim=1)
        mine = _hard if self.mining == "hard" else _semihard
        positive, negative = mine(distance, same & ~itself, ~same)
        gap = positive - negative + self.least_gap
        return (F.softplus(gap) if self.soft_margin else F.relu(gap)).mean(), same.gather(1, nearest[:, None])[:, 0]


def _hard(distance: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """The farthest positive and the nearest negative of each anchor that has both: distances [A] and [A]."""
    anchors = positive.any(dim=1) & negative.any(dim=1)
    farthest = distance.masked_fill(~positive, -torch.inf)[anchors].amax(dim=1)
    return farthest, distance.masked_fill(~negative, torch.inf)[anchors].amin(dim=1)


def _semihard(distance: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """For each pair of anchor and positive, its distance and that of its negative: [A] and [A]."""
    anchor, other = torch.where(positive & negative.any(dim=1, keepdim=True))
    pair, rivals = distance[anchor, other], distance[anchor]
    farther = negative[anchor] & (rivals > pair[:, None])
    nearest = rivals.masked_fill(~farther, torch.inf).amin(dim=1)
    farthest = rivals.masked_fill(~negative[anchor], -torch.inf).amax(dim=1)
    return pair, torch.where(farther.any(dim=1), nearest, farthest)
