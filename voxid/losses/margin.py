"""Classification losses: softmax, and its kin with a margin on the cosine or the angle. The class rows are their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.losses.class_weights import weight_tensor
from voxid.losses.cosine import check_scale, class_cosines, class_rows, nearer, turn
from voxid.registry import register


@register("loss", "softmax")
class Softmax(nn.Module):
    """Cross-entropy over a linear layer: embeddings [B, D], labels [B] -> loss []; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        label_smoothing: Share of the target that goes to all classes alike.
        class_weights: One weight a class [K], see `class_weights.class_weights`; None = all alike.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing must lie within 0 ... 1, got {label_smoothing}")
        self.linear = nn.Linear(embedding_dim, num_classes)
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", weight_tensor(class_weights, num_classes), persistent=False)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        logits = self.logits(embedding)
        loss = F.cross_entropy(logits, label, self.class_weights, label_smoothing=self.label_smoothing)
        return loss, logits.argmax(dim=1) == label

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [B, K]."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.linear(embedding.float())


@register("loss", "am_softmax")
class AMSoftmax(nn.Module):
    """Additive margin (CosFace): the cosine of the own class falls by `margin` before the softmax; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        margin: On the cosine; an attribute that a schedule may move during training.
        scale: Factor on the cosines.
        class_weights: One weight a class [K]; None = all alike.

    Wang et al., "CosFace", CVPR 2018; Wang et al., "Additive margin softmax for face verification", IEEE SPL 2018.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: float = 0.2,
        scale: float = 30.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.weight = class_rows(embedding_dim, num_classes)
        self.margin = margin
        self.scale = check_scale(scale)
        self.register_buffer("class_weights", weight_tensor(class_weights, num_classes), persistent=False)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        cosine = class_cosines(embedding, self.weight)
        moved = cosine.scatter_add(1, label[:, None], cosine.new_full((len(label), 1), -self.margin))
        return F.cross_entropy(self.scale * moved, label, self.class_weights), cosine.argmax(dim=1) == label

    def logits(self, embedding: Tensor) -> Tensor:
        """Scaled cosines [B, K], without margin."""
        return self.scale * class_cosines(embedding, self.weight)


@register("loss", "aam_softmax")
class AAMSoftmax(nn.Module):
    """Additive angular margin: the angle to the own class grows by `margin` before the softmax; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        margin: Radians; an attribute that a schedule may move during training.
        scale: Factor on the cosines.
        easy_margin: Leave angles beyond 90 degrees alone, instead of the linear continuation past pi - margin.
        sub_centers: Rows of a class; its cosine is that of the nearest one, so that wrong labels find a row of their own.
        topk: How many of the nearest other classes come nearer by `topk_margin` (the inter-top-k penalty); 0 = none.
        topk_margin: Radians; it grows and falls with `margin` when a schedule moves that.
        class_weights: One weight a class [K]; None = all alike.

    Deng et al., "ArcFace", CVPR 2019; "Sub-center ArcFace", ECCV 2020; Zhao et al., "Multi-query multi-head attention pooling
    and inter-topk penalty for speaker verification", ICASSP 2022.

    Example:
        >>> loss = AAMSoftmax(embedding_dim=2, num_classes=2, margin=0.2)
        >>> loss.logits(torch.randn(3, 2)).shape
        torch.Size([3, 2])
    """

    class_weights: Tensor | None

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: float = 0.2,
        scale: float = 30.0,
        easy_margin: bool = False,
        sub_centers: int = 1,
        topk: int = 0,
        topk_margin: float = 0.06,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if topk < 0:
            raise ValueError(f"topk must be 0 or more, got {topk}")
        self.weight = class_rows(embedding_dim, num_classes, sub_centers)
        self.margin = margin
        self.scale = check_scale(scale)
        self.easy_margin = easy_margin
        self.topk = min(topk, num_classes - 1)
        self.topk_margin = topk_margin
        self.full_margin = margin
        self.register_buffer("class_weights", weight_tensor(class_weights, num_classes), persistent=False)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        cosine = self.cosine(embedding)
        own = cosine.gather(1, label[:, None])
        moved = cosine.scatter(1, label[:, None], self._with_margin(own))
        if self.topk:
            rivals = cosine.detach().scatter(1, label[:, None], -2.0).topk(self.topk, dim=1).indices
            moved = moved.scatter(1, rivals, nearer(cosine.gather(1, rivals), self._penalty()))
        return F.cross_entropy(self.scale * moved, label, self.class_weights), cosine.argmax(dim=1) == label

    def cosine(self, embedding: Tensor) -> Tensor:
        """Cosines [B, K] of the angles to the classes."""
        return class_cosines(embedding, self.weight)

    def logits(self, embedding: Tensor) -> Tensor:
        """Scaled cosines [B, K], without margin."""
        return self.scale * self.cosine(embedding)

    def _penalty(self) -> float:
        return self.topk_margin * (self.margin / self.full_margin if self.full_margin else 1.0)

    def _with_margin(self, cosine: Tensor) -> Tensor:
        moved = turn(cosine, self.margin)
        if self.easy_margin:
            return torch.where(cosine > 0, moved, cosine)
        beyond = cosine - math.sin(math.pi - self.margin) * self.margin
        return torch.where(cosine > math.cos(math.pi - self.margin), moved, beyond)
