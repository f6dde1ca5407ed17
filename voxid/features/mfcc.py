"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.features import presets
from voxid.features.fbank import Fbank
from voxid.features.options import FbankOptions, MfccOptions, build_options
from voxid.features.spectrogram import complete
from voxid.features.stft import Constant
from voxid.registry import register


def dct_matrix(num_ceps: int, num_bins: int, lifter: float = 0.0) -> NDArray[np.float64]:
    """Orthonormal cosine transform (type II) [num_ceps, num_bins], its rows scaled by Kaldi's cepstral lifter.

    Args:
        num_ceps, num_bins: Rows and columns.
        lifter: Row i is scaled by 1 + lifter / 2 * sin(pi i / lifter); 0 is off.

    Example:
        >>> dct_matrix(1, 4).tolist()
        [[0.5, 0.5, 0.5, 0.5]]
    """
    rows = np.arange(num_ceps)[:, None]
    matrix = np.sqrt(2 / num_bins) * np.cos(np.pi / num_bins * (np.arange(num_bins) + 0.5) * rows)
    matrix[0] = np.sqrt(1 / num_bins)
    if lifter:
        matrix *= 1 + 0.5 * lifter * np.sin(np.pi * rows / lifter)
    return matrix


@register("frontend", "mfcc")
class Mfcc(nn.Module):
    """Cepstral coefficients of a log-mel filter bank: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32.

    Args:
        preset: voxid (30 coefficients of 30 bins), kaldi, torchaudio or speechbrain; ``deltas=2`` adds the slopes to any.
        options: Fields of `MfccOptions`; they override the preset.

    Raises:
        ConfigError: An unknown preset or option, or one that does not fit the others.

    Example:
        >>> Mfcc("kaldi")(torch.randn(2, 16000)).shape
        torch.Size([2, 13, 98])
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(MfccOptions, presets.MFCC, preset, options)
        self.sample_rate = self.options.sample_rate
        self.num_bins = self.options.num_ceps * (1 + self.options.deltas)
        # Deltas, normalisation and the place of the energy come after the transform.
        kept = {field.name: getattr(self.options, field.name) for field in fields(FbankOptions)}
        self.fbank = Fbank(**{**kept, "deltas": 0, "normalize": "none", "htk_compat": False})
        self.dct = Constant(dct_matrix(self.options.num_ceps, self.options.num_mel_bins, self.options.lifter))

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self.fbank.num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        mel = self.fbank(waveform, lengths)
        with torch.autocast(waveform.device.type, enabled=False):
            energy, mel = mel.split([int(self.options.use_energy), self.options.num_mel_bins], dim=1)
            cepstra = self._place(self.dct.value @ mel, energy)
            return complete(cepstra, None if lengths is None else self.num_frames(lengths), self.options)

    def _place(self, cepstra: Tensor, energy: Tensor) -> Tensor:
        if self.options.use_energy:
            cepstra = torch.cat([energy, cepstra[:, 1:]], dim=1)
        if not self.options.htk_compat:
            return cepstra
        # HTK's cosine transform has no special first row.
        first = cepstra[:, :1] if self.options.use_energy else cepstra[:, :1] * 2**0.5
        return torch.cat([cepstra[:, 1:], first], dim=1)


def mfcc(waveform: Tensor, lengths: Tensor | None = None, preset: str = "voxid", **options: Any) -> Tensor:
    """Cepstral coefficients [B, F, N] of waveforms [B, T] in one call; the arguments are those of `Mfcc`.

    Example:
        >>> mfcc(torch.randn(1, 16000), num_ceps=20).shape
        torch.Size([1, 20, 98])
    """
    return Mfcc(preset, **options).to(waveform.device)(waveform, lengths)
