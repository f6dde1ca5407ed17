"""The speaker encoder: front-end . backbone . pooling . projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from voxid import registry
from voxid.errors import ModelError, did_you_mean
from voxid.models.layers import check_counts, frame_mask
from voxid.registry import register
from voxid.scoring.backend import Backend

HEADS = ("linear", "relu", "norm")


@register("speaker", "speaker_encoder")
class SpeakerEncoder(nn.Module):
    """Waveforms [B, T] (or features [B, F, N], where the front-end says so) -> embeddings [B, D], not of unit length.

    Args:
        frontend: Features, e.g. ``{"name": "fbank", "num_mel_bins": 80}``.
        backbone: Frames, e.g. ``{"name": "ecapa_tdnn", "channels": 512}``.
        pooling: One vector, e.g. ``{"name": "asp", "context": True}``.
        embedding_dim: D.
        embedding_norm: BatchNorm after the last linear layer.
        head: What stands between pooling and embedding: ``linear`` is BatchNorm and a linear layer, ``relu`` a linear layer and a
            ReLU, ``norm`` BatchNorm alone (then D is what the pooling gives, whatever `embedding_dim` is).

    Example:
        >>> encoder = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}).eval()
        >>> encoder(torch.randn(2, 16000)).shape
        torch.Size([2, 192])
    """

    kind: ClassVar[str] = "speaker"

    def __init__(
        self,
        frontend: str | Mapping[str, Any] = "fbank",
        backbone: str | Mapping[str, Any] = "ecapa_tdnn",
        pooling: str | Mapping[str, Any] = "asp",
        embedding_dim: int = 192,
        embedding_norm: bool = False,
        head: str = "linear",
    ) -> None:
        super().__init__()
        check_counts(embedding_dim=embedding_dim)
        self.spec = {
            "name": "speaker_encoder",
            "frontend": frontend,
            "backbone": backbone,
            "pooling": pooling,
            "embedding_dim": embedding_dim,
            "embedding_norm": embedding_norm,
            "head": head,
        }
        self.card: dict[str, Any] = {}
        self.backend: Backend | None = None
        self.frontend = registry.build("frontend", frontend)
        self.backbone = registry.build("backbone", backbone, input_dim=self.frontend.num_bins)
        self.pooling = registry.build("pooling", pooling, channels=self.backbone.output_dim)
        pooled = self.pooling.output_dim
        if head not in HEADS:
            raise ValueError(f"unknown head {head!r}: {did_you_mean(head, HEADS)}")
        self.embedding_dim = pooled if head == "norm" else embedding_dim
        self.norm = nn.Identity() if head == "relu" else nn.BatchNorm1d(pooled)
        self.projection = nn.Identity() if head == "norm" else nn.Linear(pooled, embedding_dim)
        self.activation = nn.ReLU() if head == "relu" else nn.Identity()
        self.embedding_norm = nn.BatchNorm1d(self.embedding_dim) if embedding_norm else nn.Identity()

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that the net expects, in Hz."""
        return int(self.frontend.sample_rate)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings [B, D] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end.

        Raises:
            ModelError: ``E_SHAPE``, a waveform that is not [B, T], or lengths that do not fit it.
        """
        if getattr(self.frontend, "input_ndim", 2) == 3:
            check_features(waveform, lengths, self.frontend.num_bins)
        else:
            check_waveform(waveform, lengths)
        features = self.frontend(waveform, lengths)
        mask = None if lengths is None else frame_mask(self.frontend.num_frames(lengths), features.shape[2])
        return self.embed_features(features, mask)

    def embed_features(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings [B, D] of features [B, F, N]: the part of the net behind its front-end."""
        frames = self.backbone(features, mask)
        if mask is not None and hasattr(self.backbone, "num_frames"):
            mask = frame_mask(self.backbone.num_frames(mask.sum(dim=(1, 2))), frames.shape[2])
        pooled = self.pooling(frames, mask)
        return self.embedding_norm(self.activation(self.projection(self.norm(pooled))))

    @torch.no_grad()
    def subtract(self, mean: Tensor) -> None:
        """Move all embeddings by -`mean` [D], inside the last layer: cosines then are those of centred embeddings.

        Raises:
            ModelError: ``E_HEAD``, the last layer is a ReLU, which nothing can be taken from.
        """
        layers = [self.embedding_norm, self.activation, self.projection, self.norm]
        last = next(layer for layer in layers if not isinstance(layer, nn.Identity))
        if isinstance(last, nn.ReLU):
            raise ModelError("embeddings behind a ReLU (head: relu) cannot be centred; train with center: false", "E_HEAD")
        last.bias.sub_(mean.to(last.bias))


def check_waveform(waveform: Tensor, lengths: Tensor | None) -> None:
    """Raise `ModelError` unless `waveform` is a float [B, T] and `lengths` an integer [B] within 1 ... T."""
    if waveform.ndim != 2 or not waveform.is_floating_point():
        raise ModelError(
            f"expected a float waveform [B, T], got {waveform.dtype} {list(waveform.shape)}; "
            "one recording goes in as waveform[None], several channels one by one",
            "E_SHAPE",
        )
    if waveform.shape[1] == 0:
        raise ModelError("expected a waveform [B, T] with T >= 1, got no samples", "E_SHAPE")
    check_lengths(waveform, lengths, "samples")


def check_features(features: Tensor, lengths: Tensor | None, num_bins: int) -> None:
    """Raise `ModelError` unless `features` are float [B, num_bins, N] and `lengths` an integer [B] within 1 ... N."""
    if features.ndim != 3 or features.shape[1] != num_bins or features.shape[2] == 0 or not features.is_floating_point():
        raise ModelError(
            f"expected float features [B, {num_bins}, N] with N >= 1, got {features.dtype} {list(features.shape)}; "
            "this net has no front-end for waveforms: it takes features computed elsewhere, time last",
            "E_SHAPE",
        )
    check_lengths(features, lengths, "frames")


def check_lengths(batch: Tensor, lengths: Tensor | None, unit: str) -> None:
    """Raise `ModelError` unless `lengths` are an integer [B] within 1 ... the last axis of `batch`."""
    if lengths is None:
        return
    if lengths.shape != batch.shape[:1] or lengths.is_floating_point():
        raise ModelError(f"expected integer lengths [{batch.shape[0]}], got {lengths.dtype} {list(lengths.shape)}", "E_SHAPE")
    if not bool(((lengths >= 1) & (lengths <= batch.shape[-1])).all()):
        raise ModelError(f"lengths must lie within 1 ... {batch.shape[-1]} {unit}, got {lengths.tolist()}", "E_SHAPE")
