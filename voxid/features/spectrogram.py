"""Log spectrograms."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from voxid.features import presets
from voxid.features.normalize import clip_range, normalize
from voxid.features.options import SpectrogramOptions, build_options
from voxid.features.stft import Stft
from voxid.registry import register


def log_compress(x: Tensor, options: SpectrogramOptions) -> Tensor:
    """The logarithm that `options` ask for, of a power or a magnitude, with its floor and offset."""
    if options.log == "none":
        return x
    if options.log_floor > 0:
        x = x.clamp(min=options.log_floor)
    if options.log_offset > 0:
        x = x + options.log_offset
    x = x.log()
    return x if options.log == "ln" else x * (20 / options.power / math.log(10))


def finish(features: Tensor, frames: Tensor | None, options: SpectrogramOptions) -> Tensor:
    """What looks at whole items: the range in dB, then the normalisation. Frames after an item's own become zero."""
    if options.top_db:
        features = clip_range(features, options.top_db, frames)
    return normalize(features, options.normalize, frames)


@register("frontend", "spectrogram")
class Spectrogram(nn.Module):
    """Log spectrogram: waveform [B, T] in [-1, 1] -> features [B, n_fft // 2 + 1, N], in float32.

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
        self.num_bins = self.stft.n_fft // 2 + 1

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
