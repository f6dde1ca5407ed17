"""Linear-frequency cepstral coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.fbank import blocks_of
from voxid.features.mel import mel_filters
from voxid.features.mfcc import dct_matrix
from voxid.features.options import SpectrogramOptions, build_options, check_band, upper_edge
from voxid.features.spectrogram import clip, complete, log_compress
from voxid.features.stft import Constant, Stft
from voxid.registry import register


@dataclass(frozen=True, kw_only=True)
class LfccOptions(SpectrogramOptions):
    """From the spectrum to cepstral coefficients of linear filters: the spectrum's options, and these.

    Attributes:
        num_filters: Triangles of height 1, spaced evenly in Hz.
        num_ceps: Coefficients, C0 (or the energy) included.
        low, high: Edges of the first and the last filter, in Hz; `high` <= 0 counts from half the rate.
        lifter: Kaldi's cepstral lifter; 0 is off.
        use_energy: In C0's place the logarithm of the power within low ... high, divided by the points of the transform
            (ASVspoof 2021).
    """

    num_filters: int = 60
    num_ceps: int = 30
    low: float = 0.0
    high: float = 0.0
    lifter: float = 0.0
    use_energy: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_ceps <= self.num_filters:
            raise ConfigError(f"num_ceps must lie within 1 ... num_filters = {self.num_filters}, got {self.num_ceps}")
        if self.use_energy and (self.top_db or self.power == 1):
            raise ConfigError("use_energy needs power=2 and no top_db: the energy stands beside the filters, not among them")
        check_band(self.low, self.high, self.sample_rate)


@register("frontend", "lfcc")
class Lfcc(nn.Module):
    """Cepstral coefficients of linear filters: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32.

    Args:
        preset: voxid, torchaudio, asvspoof2019 or asvspoof2021.
        options: Fields of `LfccOptions`; they override the preset.

    Raises:
        ConfigError: An unknown preset or option, or one that does not fit the others.

    Example:
        >>> Lfcc("asvspoof2021")(torch.randn(2, 16000)).shape
        torch.Size([2, 60, 101])

    Sahidullah, Kinnunen, Hanilci, "A comparison of features for synthetic speech detection", Interspeech 2015.
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(LfccOptions, presets.LFCC, preset, options)
        self.sample_rate = self.options.sample_rate
        self.num_bins = self.options.num_ceps * (1 + self.options.deltas)
        self.stft = Stft(self.options)
        low, top = self.options.low, upper_edge(self.options.high, self.sample_rate)
        axis = np.arange(self.stft.n_fft // 2 + 1) * self.sample_rate / self.stft.n_fft
        self.band = slice(int(np.searchsorted(axis, low)), int(np.searchsorted(axis, top, side="right")))
        self.blocks = blocks_of(
            mel_filters(self.options.num_filters, self.stft.n_fft, self.sample_rate, low, top, scale="linear", shape="hz")
        )
        self.dct = Constant(dct_matrix(self.options.num_ceps, self.options.num_filters, self.options.lifter))

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self.stft.num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        return self.stft(waveform, lengths, self._bins, self._cepstra)

    def _bins(self, spectrum: Tensor, energy: Tensor | None) -> Tensor:
        rows = [block(spectrum) for block in self.blocks]
        if self.options.use_energy:
            rows.append(spectrum[:, self.band].sum(dim=1)[None] / self.stft.n_fft)
        return log_compress(torch.cat(rows), self.options)

    def _cepstra(self, bins: Tensor, frames: Tensor | None) -> Tensor:
        bins = clip(bins, frames, self.options)
        cepstra = self.dct.value @ bins[:, : self.options.num_filters]
        if self.options.use_energy:
            cepstra = torch.cat([bins[:, -1:], cepstra[:, 1:]], dim=1)
        return complete(cepstra, frames, self.options)


def lfcc(waveform: Tensor, lengths: Tensor | None = None, preset: str = "voxid", **options: Any) -> Tensor:
    """Cepstral coefficients [B, F, N] of waveforms [B, T] in one call; the arguments are those of `Lfcc`.

    Example:
        >>> lfcc(torch.randn(1, 16000), num_ceps=20, deltas=2).shape
        torch.Size([1, 60, 98])
    """
    return Lfcc(preset, **options).to(waveform.device)(waveform, lengths)
