"""Log spectrograms."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from voxid.features import presets
from voxid.features.deltas import add_deltas
from voxid.features.normalize import clip_range, normalize
from voxid.features.options import FrontendOptions, SpectrogramOptions, build_options
from voxid.features.stft import Stft
from voxid.registry import register


def log_compress(x: Tensor, options: FrontendOptions) -> Tensor:
    """The logarithm that `options` ask for, of a power or a magnitude, with its floor and offset."""
    if options.log == "none":
        return x
    if options.log_floor > 0:
        x = x.clamp(min=options.log_floor)
    if options.log_offset > 0:
        x = x + options.log_offset
    factors = {"log10": 1 / math.log(10), "db": 20 / options.power / math.log(10)}
    return x.log() if options.log == "ln" else x.log() * factors[options.log]


def finish(features: Tensor, frames: Tensor | None, options: FrontendOptions) -> Tensor:
    """What looks at whole items: the range in dB, the deltas, the normalisation. Frames after an item's own become zero."""
    return complete(clip(features, frames, options), frames, options)


def clip(features: Tensor, frames: Tensor | None, options: FrontendOptions) -> Tensor:
    """Features [B, F, N] within the range in dB that `options` ask for."""
    return clip_range(features, options.top_db, frames) if options.top_db else features


def complete(features: Tensor, frames: Tensor | None, options: FrontendOptions) -> Tensor:
    """Deltas, then normalisation: features [B, F, N] -> [B, F (1 + deltas), N]."""
    return normalize(add_deltas(features, options, frames), options.normalize, frames, options.cmn_window)


@register("frontend", "spectrogram")
class Spectrogram(nn.Module):
    """Log spectrogram: waveform [B, T] in [-1, 1] -> features [B, F, N] with F = n_fft // 2 + 1, in float32.

    Args:
        preset: voxid, kaldi (without the energy in bin 0), torchaudio, speechbrain, wespeaker, 3dspeaker or torch_speaker.
        options: Fields of `SpectrogramOptions`; they override the preset.

    Raises:
        ConfigError: An unknown preset or option, or one that does not fit the others.

    Example:
        >>> import torch
        >>> Spectrogram()(torch.randn(2, 16000)).shape
        torch.Size([2, 257, 98])
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(SpectrogramOptions, presets.SPECTROGRAM, preset, options)
        self.sample_rate = self.options.sample_rate
        self.stft = Stft(self.options)
        self.num_bins = (self.stft.n_fft // 2 + 1) * (1 + self.options.deltas)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self.stft.num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        return self.stft(waveform, lengths, self._bins, lambda x, frames: finish(x, frames, self.options))

    def _bins(self, spectrum: Tensor, energy: Tensor | None) -> Tensor:
        return log_compress(spectrum.T.contiguous(), self.options)


def spectrogram(waveform: Tensor, lengths: Tensor | None = None, preset: str = "voxid", **options: Any) -> Tensor:
    """Log spectrogram [B, F, N] of waveforms [B, T] in one call; the arguments are those of `Spectrogram`.

    Example:
        >>> import torch
        >>> spectrogram(torch.zeros(1, 400), normalize=None).exp().max() < 1e-6
        tensor(True)
    """
    return Spectrogram(preset, **options).to(waveform.device)(waveform, lengths)
