"""Wavelet energies: the bands of a filter bank of PyWavelets, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.dwt import dwt, packets
from voxid.features.options import FramedOptions, build_options
from voxid.features.spectrogram import finish, log_compress
from voxid.features.stft import Constant, Stft
from voxid.registry import register


@dataclass(frozen=True, kw_only=True)
class WaveletOptions(FramedOptions):
    """From frames to wavelet bands: the options of the frames, and these.

    Attributes:
        wavelet: Name of a discrete wavelet of PyWavelets, e.g. haar, db8, sym8, coif2.
        level: Splits in a row.
        tree: packet = every band is split again, 2 ** level bands of one width; dwt = the low band alone, level + 1 bands of
            an octave each. Both rise in frequency.
        mode: What stands beyond a frame's ends, see `dwt.dwt`.
    """

    wavelet: str = "db8"
    level: int = 6
    tree: str = "packet"
    mode: str = "periodization"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.level < self.length.bit_length():
            raise ConfigError(f"level must lie within 1 ... {self.length.bit_length() - 1} for a frame of {self.length} samples")


class Bands(nn.Module):
    """Frames [..., length] -> mean square of each wavelet band [..., bands].

    The transform of a frame is linear and its length is known, so the cascade of filters runs once, over the unit vectors.
    From then on it is one product, which takes a small part of the cascade's time.
    """

    def __init__(self, options: WaveletOptions) -> None:
        super().__init__()
        units = torch.from_numpy(np.eye(options.length))
        arguments = (units, options.wavelet, options.level, options.mode)
        parts = list(packets(*arguments).unbind(1)) if options.tree == "packet" else dwt(*arguments)
        sizes = np.array([part.shape[1] for part in parts])
        self.num_bands = len(parts)
        self.cascade = Constant(torch.cat(parts, dim=1).numpy())
        self.average = Constant(np.repeat(np.eye(len(parts)) / sizes, sizes, axis=0))

    def forward(self, frames: Tensor) -> Tensor:
        return (frames @ self.cascade.value).square() @ self.average.value


@register("frontend", "wavelet")
class Wavelet(nn.Module):
    """Log energies of wavelet bands: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32. Needs PyWavelets.

    Args:
        preset: voxid.
        options: Fields of `WaveletOptions`; they override the preset.

    Raises:
        ConfigError: An unknown option or wavelet, one that does not fit the others, or PyWavelets is missing (``E_EXTRA``).

    Example:
        >>> Wavelet()(torch.randn(2, 16000)).shape
        torch.Size([2, 64, 98])
        >>> Wavelet(tree="dwt", wavelet="sym8").num_bins
        7

    Sarikaya, Pellom, Hansen, "Wavelet packet transform features with application to speaker identification", NORSIG 1998.
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(WaveletOptions, presets.WAVELET, preset, options)
        self.sample_rate = self.options.sample_rate
        bands = Bands(self.options)
        self.stft = Stft(self.options, transform=bands)
        self.num_bins = bands.num_bands * (1 + self.options.deltas)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return self.stft.num_frames(lengths)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        return self.stft(waveform, lengths, self._bins, lambda x, frames: finish(x, frames, self.options))

    def _bins(self, spectrum: Tensor, energy: Tensor | None) -> Tensor:
        return log_compress(spectrum.T.contiguous(), self.options)
