"""Log-mel filter banks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.mel import mel_filters
from voxid.features.options import FbankOptions, build_options
from voxid.features.spectrogram import finish, log_compress
from voxid.features.stft import Constant, Stft
from voxid.registry import register

# Blocks that the filters are cut into: a mel filter sees few bins, so four small products cost half of the full one.
BLOCKS = 4


class Block(nn.Module):
    """Neighbouring filters [F, bins] on the bins that they see: spectrum [M, bins] -> [F, M]."""

    def __init__(self, filters: NDArray[np.float64]) -> None:
        super().__init__()
        used = np.flatnonzero(filters.any(axis=0))
        self.band = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        self.weights = Constant(filters[:, self.band])

    def forward(self, spectrum: Tensor) -> Tensor:
        return self.weights.value @ spectrum[:, self.band].T


def blocks_of(filters: NDArray[np.float64]) -> nn.ModuleList:
    """Filters [F, bins] as blocks: their outputs, one below the other, are [F, M]."""
    return nn.ModuleList(Block(part) for part in np.array_split(filters, min(BLOCKS, len(filters))))


@register("frontend", "fbank")
class Fbank(nn.Module):
    """Log-mel filter bank: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32.

    Args:
        preset: voxid, kaldi, torchaudio, speechbrain, wespeaker, 3dspeaker or torch_speaker.
        options: Fields of `FbankOptions`; they override the preset.

    Raises:
        ConfigError: An unknown preset or option, or one that does not fit the others.

    Example:
        >>> frontend = Fbank(num_mel_bins=40, window="povey")
        >>> frontend(torch.randn(2, 16000), lengths=torch.tensor([16000, 8000])).shape
        torch.Size([2, 40, 98])
        >>> frontend.num_frames(torch.tensor([16000, 8000]))
        tensor([98, 48])
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(FbankOptions, presets.FBANK, preset, options)
        self.sample_rate = self.options.sample_rate
        self.num_bins = (self.options.num_mel_bins + self.options.use_energy) * (1 + self.options.deltas)
        raw = "raw" if self.options.raw_energy else "window"
        self.stft = Stft(self.options, energy=raw if self.options.use_energy else None)
        self.blocks = blocks_of(_filters(self.options))

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self.stft.num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        return self.stft(waveform, lengths, self._bins, lambda x, frames: finish(x, frames, self.options))

    def _bins(self, spectrum: Tensor, energy: Tensor | None) -> Tensor:
        if self.options.log_first:
            spectrum = log_compress(spectrum, self.options)
        mel = torch.cat([block(spectrum) for block in self.blocks])
        if not self.options.log_first:
            mel = log_compress(mel, self.options)
        if energy is None:
            return mel
        energy = log_compress(energy, self.options).unsqueeze(0)
        return torch.cat([mel, energy] if self.options.htk_compat else [energy, mel])


def fbank(waveform: Tensor, lengths: Tensor | None = None, preset: str = "voxid", **options: Any) -> Tensor:
    """Log-mel filter bank [B, F, N] of waveforms [B, T] in one call; the arguments are those of `Fbank`.

    Example:
        >>> fbank(torch.randn(1, 16000), preset="wespeaker").shape
        torch.Size([1, 80, 98])
    """
    return Fbank(preset, **options).to(waveform.device)(waveform, lengths)


def _filters(options: FbankOptions) -> NDArray[np.float64]:
    filters = mel_filters(
        options.num_mel_bins,
        options.points,
        options.sample_rate,
        options.low,
        options.top,
        scale=options.mel_scale,
        shape=options.filter_shape,
        norm=options.mel_norm,
    )
    empty = np.flatnonzero(~filters.any(axis=1))
    # Kaldi refuses these; torchaudio and librosa warn and go on, and so do their shapes here.
    if len(empty) and options.filter_shape == "mel":
        raise ConfigError(
            f"{len(empty)} of {options.num_mel_bins} mel filters see no bin of a {options.points} point transform: "
            f"take fewer num_mel_bins, or n_fft={2 * options.points}"
        )
    return filters
