"""Constant-Q transform: bins spaced evenly in pitch, each with a window of as many periods as all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.options import FrontendOptions, build_options
from voxid.features.spectrogram import finish, log_compress
from voxid.features.stft import CHUNK_CPU, CHUNK_GPU, Constant, check_waveform, window
from voxid.registry import register


@dataclass(frozen=True, kw_only=True)
class CqtOptions(FrontendOptions):
    """From the waveform to constant-Q bins: what every front-end takes, and these.

    Attributes:
        f_min: Frequency of the first bin, in Hz.
        num_bins: Bins; bin k stands at f_min * 2 ** (k / bins_per_octave).
        bins_per_octave: 12 are semitones.
        filter_scale: Factor on the length of the windows: below 1 for a finer time and a coarser pitch.
        window: hann, hamming, blackman ... in its periodic form.
    """

    log_floor: float = 1e-10
    f_min: float = 62.5
    num_bins: int = 84
    bins_per_octave: int = 12
    filter_scale: float = 1.0
    window: str = "hann"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("f_min", "num_bins", "bins_per_octave", "filter_scale"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        octaves = (self.num_bins - 1) / self.bins_per_octave
        if octaves >= np.log2(self.sample_rate / 2 / self.f_min):
            raise ConfigError(
                f"{self.num_bins} bins from {self.f_min:g} Hz, {self.bins_per_octave} an octave, reach beyond "
                f"{self.sample_rate / 2:g} Hz (half the rate): take fewer num_bins or a lower f_min"
            )
        if self.sizes[0] > 60 * self.sample_rate:
            raise ConfigError(f"the first window is {self.sizes[0]} samples long: take a higher f_min or a lower filter_scale")

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Of the bins, in Hz."""
        return self.f_min * 2.0 ** (np.arange(self.num_bins) / self.bins_per_octave)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Samples of each bin's window: Q periods, cut up to whole samples."""
        q = self.filter_scale / (2.0 ** (1 / self.bins_per_octave) - 1)
        return np.maximum(2, np.ceil(q * self.sample_rate / self.frequencies)).astype(np.int64)


class Octave(nn.Module):
    """Neighbouring bins over the samples that they see, in blocks of one frame shift: blocks [M + P, shift] -> power [F, M].

    A window of P blocks moves on by one block a frame, so the transform is P products over shifted views of the same blocks:
    no sample is copied. A Fourier transform of such long frames, which overlap, costs more before its kernels are applied.
    """

    def __init__(self, kernels: list[NDArray[np.complex128]], shift: int) -> None:
        super().__init__()
        half = max(len(kernel) // 2 for kernel in kernels)
        self.before = -(-half // shift)
        self.blocks = self.before + -(-max(len(kernel) - len(kernel) // 2 for kernel in kernels) // shift)
        table = np.zeros((self.blocks * shift, 2, len(kernels)))
        for column, kernel in enumerate(kernels):
            start = self.before * shift - len(kernel) // 2
            table[start : start + len(kernel), :, column] = np.stack([kernel.real, kernel.imag], axis=1)
        self.kernels = Constant(table.reshape(self.blocks, shift, -1))

    def forward(self, blocks: Tensor) -> Tensor:
        count = len(blocks) - self.blocks + 1
        total = blocks[:count] @ self.kernels.value[0]
        for part in range(1, self.blocks):
            total = torch.addmm(total, blocks[part : part + count], self.kernels.value[part])
        return total.unflatten(1, (2, -1)).square().sum(dim=1).T


@register("frontend", "cqt")
class Cqt(nn.Module):
    """Log constant-Q spectrum: waveform [B, T] in [-1, 1] -> features [B, F, N], in float32.

    Bin k of frame n is the inner product of the samples around n * shift (zeros beyond an item's ends) with a complex
    exponential of the bin's frequency under a window of sum 1: a tone of amplitude A on the bin gives the magnitude A / 2.
    There are T // shift + 1 frames.

    Args:
        preset: voxid.
        options: Fields of `CqtOptions`; they override the preset.

    Raises:
        ConfigError: An unknown option, or one that does not fit the others.

    Example:
        >>> Cqt()(torch.randn(2, 16000)).shape
        torch.Size([2, 84, 101])

    Brown, "Calculation of a constant Q spectral transform", JASA 1991.
    """

    def __init__(self, preset: str = "voxid", **options: Any) -> None:
        super().__init__()
        self.options = build_options(CqtOptions, presets.CQT, preset, options)
        self.sample_rate = self.options.sample_rate
        self.num_bins = self.options.num_bins * (1 + self.options.deltas)
        kernels = [
            kernel(float(frequency), int(size), self.sample_rate, self.options.window)
            for frequency, size in zip(self.options.frequencies, self.options.sizes, strict=True)
        ]
        step = self.options.bins_per_octave
        groups = [kernels[start : start + step] for start in range(0, len(kernels), step)]
        self.octaves = nn.ModuleList(Octave(group, self.options.shift) for group in groups)
        self.before = max(octave.before for octave in self._octaves)
        self.after = max(octave.blocks - octave.before for octave in self._octaves)

    @property
    def _octaves(self) -> list[Octave]:
        return [octave for octave in self.octaves if isinstance(octave, Octave)]

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return lengths // self.options.shift + 1

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, F, N] of waveforms [B, T]; `lengths` [B] in samples when items are padded at their end."""
        check_waveform(waveform)
        count = waveform.shape[1] // self.options.shift + 1
        chunk = CHUNK_CPU if waveform.device.type == "cpu" else CHUNK_GPU
        rows = max(1, chunk // count)
        parts = []
        with torch.autocast(waveform.device.type, enabled=False):
            for start in range(0, len(waveform), rows):
                own = None if lengths is None else lengths[start : start + rows]
                features = self._features(waveform[start : start + rows].float(), own, count)
                parts.append(finish(features, None if own is None else self.num_frames(own), self.options))
            return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _features(self, x: Tensor, lengths: Tensor | None, count: int) -> Tensor:
        if lengths is not None:
            x = x * (torch.arange(x.shape[1], device=x.device) < lengths[:, None])
        shift, width = self.options.shift, self.before + count + self.after
        x = nn.functional.pad(x, (self.before * shift, (width - self.before) * shift - x.shape[1]))
        # All items as one stretch of blocks; what spans two of them belongs to no frame.
        blocks = nn.functional.pad(x.view(-1, shift), (0, 0, 0, self.before + self.after))
        parts = []
        for octave in self._octaves:
            first = self.before - octave.before
            power = octave(blocks[first : first + len(x) * width + octave.blocks - 1])
            parts.append(power.unflatten(1, (len(x), width))[:, :, :count])
        power = torch.cat(parts).transpose(0, 1)
        # The root has no finite gradient at zero.
        return log_compress(power if self.options.power == 2 else power.clamp(min=1e-30).sqrt(), self.options)


def kernel(frequency: float, size: int, rate: int, shape: str) -> NDArray[np.complex128]:
    """Complex exponential [size] of `frequency` Hz under a window of sum 1, its phase zero at sample size // 2.

    Example:
        >>> kernel(4000.0, 4, 16000, "rectangular").round(2).tolist()
        [(-0.25+0j), 0.25j, (0.25+0j), -0.25j]
    """
    weights = window(shape, size, periodic=True)
    phase = 2 * np.pi * frequency / rate * (np.arange(size) - size // 2)
    return weights / weights.sum() * np.exp(-1j * phase)
