"""Features that were computed elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError, ModelError, did_you_mean
from voxid.features.normalize import normalize
from voxid.features.options import CHOICES
from voxid.registry import register


@register("frontend", "precomputed")
class Precomputed(nn.Module):
    """Bring your own features [B, F, N]: they pass through, normalised where `normalize` says so, in float32.

    A model with this front-end takes features where others take waveforms, and lengths in frames.

    Args:
        num_bins: F.
        frame_rate: Frames a second; for those who turn frames into time.
        sample_rate: Rate of the recordings that the features came from, in Hz.
        normalize: none, mean, mean_var, instance or sliding, see `normalize.normalize`.
        cmn_window: Frames of the sliding mean.

    Raises:
        ConfigError: A value that is out of range.

    Example:
        >>> Precomputed(num_bins=40, normalize="mean")(torch.randn(2, 40, 300)).shape
        torch.Size([2, 40, 300])
    """

    input_ndim = 3

    def __init__(
        self,
        num_bins: int = 80,
        frame_rate: float = 100.0,
        sample_rate: int = 16000,
        normalize: str | None = "none",
        cmn_window: int = 300,
    ) -> None:
        super().__init__()
        for name, value in (("num_bins", num_bins), ("sample_rate", sample_rate), ("cmn_window", cmn_window)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if frame_rate <= 0:
            raise ConfigError(f"frame_rate must be above 0, got {frame_rate}")
        self.kind = normalize or "none"
        if self.kind not in CHOICES["normalize"]:
            raise ConfigError(f"unknown normalize {normalize!r}: {did_you_mean(self.kind, map(str, CHOICES['normalize']))}")
        self.num_bins, self.frame_rate, self.sample_rate = num_bins, frame_rate, sample_rate
        self.cmn_window = cmn_window

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of features of `lengths` frames: the same."""
        return lengths

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N]; `lengths` [B] in frames when items are padded at their end, which becomes zero.

        Raises:
            ModelError: ``E_SHAPE``, features that are not float [B, F, N] with F = `num_bins` and N >= 1.
        """
        if features.ndim != 3 or features.shape[1] != self.num_bins or 0 in features.shape or not features.is_floating_point():
            raise ModelError(
                f"expected float features [B, {self.num_bins}, N] with N >= 1, got {features.dtype} {list(features.shape)}; "
                "this net takes features computed elsewhere, time last",
                "E_SHAPE",
            )
        with torch.autocast(features.device.type, enabled=False):
            return normalize(features.float(), self.kind, lengths, self.cmn_window)
