"""Focal loss: classification that looks away from what it already knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxid.losses.class_weights import weight_tensor, weighted_mean
from voxid.registry import register


@register("loss", "focal")
class Focal(nn.Module):
    """Cross-entropy over a linear layer, each item times (1 - p) ** gamma, p the posterior of its class; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        gamma: How much easy items lose; 0 is the plain softmax.
        class_weights: One weight a class [K]; None = all alike.

    Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """

    class_weights: Tensor | None

    def __init__(
        self, embedding_dim: int, num_classes: int, gamma: float = 2.0, class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ValueError(f"gamma must be 0 or more, got {gamma}")
        self.linear = nn.Linear(embedding_dim, num_classes)
        self.gamma = gamma
        self.register_buffer("class_weights", weight_tensor(class_weights, num_classes), persistent=False)

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B]."""
        logits = self.logits(embedding)
        log_posterior = torch.log_softmax(logits, dim=1).gather(1, label[:, None])[:, 0]
        # 1 - p from the logarithm keeps its digits near p = 1; the floor keeps the power's gradient finite for gamma < 1
        away = (-torch.expm1(log_posterior)).clamp(min=1e-12)
        return weighted_mean(-(away**self.gamma) * log_posterior, label, self.class_weights), logits.argmax(dim=1) == label

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [B, K]."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.linear(embedding.float())
