"""A speaker encoder that also knows its speakers: identification by classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid import registry
from voxid.models.layers import check_counts
from voxid.registry import register
from voxid.scoring.backend import Backend


@register("speaker", "speaker_classifier")
class SpeakerClassifier(nn.Module):
    """Waveforms [B, T] -> logits [B, K], one a speaker of a closed set; the softmax over them is the posterior.

    Args:
        encoder: The encoder, as `SpeakerEncoder` is built from a recipe.
        speakers: Names of the K speakers.
        cosine: Logits are scaled cosines (the margin losses); else they are linear in the embedding (softmax).
        scale: Factor on the cosines.
        sub_centers: Centres S a speaker; the nearest counts.

    Example:
        >>> net = SpeakerClassifier({"backbone": {"name": "ecapa_tdnn", "channels": 16}}, ["ann", "ben", "eve"]).eval()
        >>> net(torch.randn(2, 16000)).shape
        torch.Size([2, 3])
    """

    kind: ClassVar[str] = "speaker"

    def __init__(
        self,
        encoder: Mapping[str, Any],
        speakers: Sequence[str],
        cosine: bool = True,
        scale: float = 30.0,
        sub_centers: int = 1,
    ) -> None:
        super().__init__()
        check_counts(sub_centers=sub_centers)
        self.spec = {
            "name": "speaker_classifier",
            "encoder": dict(encoder),
            "speakers": list(speakers),
            "cosine": cosine,
            "scale": scale,
            "sub_centers": sub_centers,
        }
        self.card: dict[str, Any] = {}
        self.backend: Backend | None = None
        self.speakers = list(speakers)
        self.cosine, self.scale = cosine, scale
        self.encoder = registry.build("speaker", {"name": "speaker_encoder"} | dict(encoder))
        self.weight = nn.Parameter(torch.zeros(len(self.speakers), sub_centers, self.encoder.embedding_dim))
        self.bias = nn.Parameter(torch.zeros(len(self.speakers)))

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that the net expects, in Hz."""
        return int(self.encoder.sample_rate)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits [B, K]; shapes and errors as those of the encoder."""
        return self.classify(self.encoder(waveform, lengths))

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits [B, K] of embeddings [B, D]."""
        weight: Tensor = self.weight
        if self.cosine:
            embedding, weight = self.scale * F.normalize(embedding), F.normalize(weight, dim=2)
        return torch.einsum("bd,ksd->bks", embedding, weight).amax(dim=2) + self.bias
