"""SphereFace2: one binary classification for each class instead of one softmax over all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.losses.class_weights import weight_tensor, weighted_mean
from voxid.losses.cosine import check_scale, class_cosines, class_rows, nearer, turn
from voxid.registry import register


@register("loss", "sphereface2")
class SphereFace2(nn.Module):
    """Binary cross-entropies of all classes, a margin on both sides: embeddings [B, D], labels [B] -> loss []; lower is better.

    A class's logit is scale * g(cosine) + bias with g(z) = 2 ((z + 1) / 2) ** power - 1, which spreads the scores of different
    speakers. Type C moves g by the margin, the own class down and the others up; type A moves the angles. The loss of an item
    is the sum over the classes (as in Han et al.; Wen et al. divide it by the scale besides).

    Args:
        embedding_dim: D.
        num_classes: K.
        margin: Of type C on g, of type A in radians; an attribute that a schedule may move. Han et al.: 0.2 for C, 0.15 for A.
        scale: Factor on g.
        balance: Weight of the own class against the others, lambda; within 0 ... 1.
        power: t of the paper.
        margin_type: ``"C"`` (as CosFace) or ``"A"`` (as ArcFace).
        class_weights: One weight a class [K], on the items of that class; None = all alike.

    Wen et al., "SphereFace2: binary classification is all you need for deep face recognition", ICLR 2022; Han et al.,
    "Exploring binary classification loss for speaker verification", ICASSP 2023.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: float = 0.2,
        scale: float = 32.0,
        balance: float = 0.7,
        power: float = 3.0,
        margin_type: str = "C",
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if margin_type not in ("A", "C"):
            raise ValueError(f"margin_type must be 'A' or 'C', got {margin_type!r}")
        if not power >= 1:
            raise ValueError(f"power must be 1 or more, got {power}")
        if not 0.0 <= balance <= 1.0:
            raise ValueError(f"balance must lie within 0 ... 1, got {balance}")
        self.weight = class_rows(embedding_dim, num_classes)
        self.bias = nn.Parameter(torch.zeros(()))
        self.margin, self.scale, self.balance = margin, check_scale(scale), balance
        self.power, self.margin_type = power, margin_type
        self.register_buffer("class_weights", weight_tensor(class_weights, num_classes), persistent=False)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        cosine = class_cosines(embedding, self.weight)
        own = self._logits(cosine.gather(1, label[:, None]), own=True)
        others = F.softplus(self._logits(cosine, own=False)).scatter(1, label[:, None], 0.0)
        losses = self.balance * F.softplus(-own[:, 0]) + (1.0 - self.balance) * others.sum(dim=1)
        return weighted_mean(losses, label, self.class_weights), cosine.argmax(dim=1) == label

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [B, K] of the binary classifications, without margin."""
        return self.scale * self._spread(class_cosines(embedding, self.weight)) + self.bias.float()

    def _logits(self, cosine: Tensor, *, own: bool) -> Tensor:
        sign = -1.0 if own else 1.0
        if self.margin_type == "C":
            return self.scale * (self._spread(cosine) + sign * self.margin) + self.bias.float()
        if not own:
            return self.scale * self._spread(nearer(cosine, self.margin)) + self.bias.float()
        beyond = cosine + math.cos(self.margin) - 1.0  # past pi - margin the angle cannot grow: a straight line from there on
        moved = torch.where(cosine > -math.cos(self.margin), turn(cosine, self.margin), beyond)
        return self.scale * self._spread(moved) + self.bias.float()

    def _spread(self, cosine: Tensor) -> Tensor:
        return 2.0 * ((cosine + 1.0) / 2.0).clamp(min=0.0) ** self.power - 1.0
