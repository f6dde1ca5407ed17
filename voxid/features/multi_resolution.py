"""Filter banks at several window lengths, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.fbank import Fbank
from voxid.features.options import FbankOptions, build_options, next_power
from voxid.registry import register


@register("frontend", "multi_resolution")
class MultiResolution(nn.Module):
    """Log-mel filter banks at several window lengths: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32.

    Short windows see when, long ones see at which pitch. All share the frame shift and stand centred on the same samples, so
    the edges are padded: mirrored, where the preset would keep whole frames only. The rows are those of each `Fbank`, in the
    order of `frame_lengths`.

    Args:
        preset: One of `Fbank`.
        frame_lengths: In milliseconds.
        options: Fields of `FbankOptions` for all windows; they override the preset. `n_fft` 0 is the next power of two of
            the longest window.

    Raises:
        ConfigError: No window lengths, an unknown preset or option, or one that does not fit the others.

    Example:
        >>> MultiResolution(frame_lengths=[10, 40], num_mel_bins=40)(torch.randn(2, 16000)).shape
        torch.Size([2, 80, 100])
    """

    def __init__(self, preset: str = "voxid", frame_lengths: Sequence[float] = (10.0, 25.0, 50.0), **options: Any) -> None:
        super().__init__()
        if not frame_lengths:
            raise ConfigError("frame_lengths must name at least one window length, in milliseconds")
        if "frame_length" in options:
            raise ConfigError("multi_resolution takes frame_lengths, a list in milliseconds, not frame_length")
        longest = build_options(FbankOptions, presets.FBANK, preset, {**options, "frame_length": max(frame_lengths)})
        if options.get("edges") == "snip":
            raise ConfigError("edges='snip' gives each window length its own number of frames; take mirror, reflect or zero")
        chosen = {**options, "n_fft": options.get("n_fft") or max(longest.n_fft, next_power(longest.length))}
        chosen["edges"] = "mirror" if longest.edges == "snip" else longest.edges
        self.fbanks = nn.ModuleList(Fbank(preset, **chosen, frame_length=length) for length in frame_lengths)
        self.sample_rate = longest.sample_rate
        self.num_bins = sum(fbank.num_bins for fbank in self._fbanks)

    @property
    def _fbanks(self) -> list[Fbank]:
        return [fbank for fbank in self.fbanks if isinstance(fbank, Fbank)]

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self._fbanks[0].num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        return torch.cat([fbank(waveform, lengths) for fbank in self._fbanks], dim=1)
