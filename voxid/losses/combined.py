"""Several losses at once, weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from voxid import registry
from voxid.registry import register


@register("loss", "combined")
class Combined(nn.Module):
    """Weighted sum of losses, e.g. softmax + angular prototypical: embeddings [B, D], labels [B] -> loss []; lower is better.

    Args:
        embedding_dim: D.
        num_classes: K.
        parts: The losses, as in a recipe. The first one is a classifier: it tells the logits and the hits.
        weights: One for each part; None = 1 for all.

    Chung et al., "In defence of metric learning for speaker recognition", Interspeech 2020, for the angular prototypical one;
    with softmax beside it Kwon et al., "The ins and outs of speaker recognition: lessons from VoxSRC 2020", ICASSP 2021.

    Example:
        >>> loss = Combined(4, 10, parts=[{"name": "aam_softmax", "margin": 0.3}, "ge2e"], weights=[1.0, 0.5])
        >>> loss.margin
        0.3
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        parts: Sequence[str | Mapping[str, Any]] = ("softmax", "angular_prototypical"),
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        built = [registry.build("loss", part, embedding_dim=embedding_dim, num_classes=num_classes) for part in parts]
        if not built or not hasattr(built[0], "logits"):
            raise ValueError("the first of parts must be a loss with classes, such as softmax or aam_softmax")
        if weights is not None and len(weights) != len(built):
            raise ValueError(f"weights must hold one number for each of the {len(built)} parts, got {len(weights)}")
        margins = [part.margin for part in built if hasattr(part, "margin")]
        if len(margins) > 1:
            raise ValueError("only one of parts may have a margin that a schedule moves")
        self.parts = nn.ModuleList(built)
        self.weights = [1.0] * len(built) if weights is None else [float(weight) for weight in weights]
        if margins:
            self.margin = margins[0]

    def forward(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] and the hits [B] of the first part."""
        results = []
        for part in self.parts:
            if hasattr(part, "margin"):
                part.margin = self.margin
            results.append(part(embedding, label))
        total = sum(weight * loss for weight, (loss, _) in zip(self.weights, results, strict=True))
        return total, results[0][1]

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [B, K] of the first part."""
        classifier: Any = self.parts[0]
        return classifier.logits(embedding)
