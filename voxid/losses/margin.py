"""Classification losses with an angular margin; the class weights [K, D] are their parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.registry import register


@register("loss", "softmax")
class Softmax(nn.Module):
    """Cross-entropy over a linear layer: embeddings [B, D], labels [B] -> loss []; lower is better."""

    def __init__(self, embedding_dim: int, num_classes: int, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_dim, num_classes)
        self.label_smoothing = label_smoothing

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        logits = self.logits(embedding)
        return F.cross_entropy(logits, label, label_smoothing=self.label_smoothing), logits.argmax(dim=1) == label

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [B, K]."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.linear(embedding.float())


@register("loss", "aam_softmax")
class AAMSoftmax(nn.Module):
    """Additive angular margin: the angle to the own class grows by `margin` before the softmax; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        margin: Radians; an attribute that a schedule may move during training.
        scale: Factor on the cosines.
        easy_margin: Leave angles beyond 90 degrees alone, instead of the linear continuation past pi - margin.

    Deng et al., "ArcFace", CVPR 2019.

    Example:
        >>> loss = AAMSoftmax(embedding_dim=2, num_classes=2, margin=0.2)
        >>> loss.logits(torch.randn(3, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, margin: float = 0.2, scale: float = 30.0, easy_margin: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.xavier_normal_(self.weight)
        self.margin = margin
        self.scale = scale
        self.easy_margin = easy_margin

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        cosine = self.cosine(embedding)
        own = cosine.gather(1, label[:, None])
        logits = cosine.scatter(1, label[:, None], self._with_margin(own))
        return F.cross_entropy(self.scale * logits, label), cosine.argmax(dim=1) == label

    def cosine(self, embedding: Tensor) -> Tensor:
        """Cosines [B, K] of the angles to the classes."""
        # Angles need float32: in bfloat16 a cosine has three digits.
        with torch.autocast(embedding.device.type, enabled=False):
            return F.linear(F.normalize(embedding.float()), F.normalize(self.weight.float()))

    def logits(self, embedding: Tensor) -> Tensor:
        """Scaled cosines [B, K], without margin."""
        return self.scale * self.cosine(embedding)

    def _with_margin(self, cosine: Tensor) -> Tensor:
        sine = (1.0 - cosine.square()).clamp(min=1e-12).sqrt()  # a floor: the gradient at cosine = 1 stays finite
        moved = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        if self.easy_margin:
            return torch.where(cosine > 0, moved, cosine)
        beyond = cosine - math.sin(math.pi - self.margin) * self.margin
        return torch.where(cosine > math.cos(math.pi - self.margin), moved, beyond)
