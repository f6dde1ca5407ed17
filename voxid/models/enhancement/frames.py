"""Short-time spectra that lead back to every sample: analysis, synthesis, and the pieces of both that a stream needs."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.features.stft import Constant, window
from voxid.models.layers import check_counts

WINDOWS = ("sine", "hann", "hamming")
# Least sum of squared windows over a sample, as a share of the greatest: below it the way back would amplify rounding errors.
LEAST = 1e-3

Count = TypeVar("Count", int, Tensor)


class Frames(nn.Module):
    """Waveform [B, T] -> spectrum [B, 2, F, N], its real and imaginary part, and back, exactly, for any T >= 1.

    The first frame ends `hop` samples into the waveform and the last begins at its last samples or before them: with zeros on
    both sides every sample lies in as many frames as one in the middle. The window of the synthesis is the analysis window over
    the sum of its squares at each sample: overlapping and adding is all that is left, and no edge needs a division of its own.

    Args:
        length: Samples of a frame.
        hop: Samples from frame to frame.
        n_fft: Points of the transform, `length` or more.
        window: Of the analysis: sine (the root of hann), hann or hamming.

    Example:
        >>> frames = Frames(400, 160, 512)
        >>> x = torch.randn(1, 1001)
        >>> frames.analyse(x).shape
        torch.Size([1, 2, 257, 8])
        >>> torch.allclose(frames.synthesise(frames.analyse(x), 1001), x, atol=1e-5)
        True
    """

    def __init__(self, length: int = 400, hop: int = 160, n_fft: int = 512, window: str = "sine") -> None:
        super().__init__()
        check_counts(length=length, hop=hop, n_fft=n_fft)
        if hop > length or length > n_fft:
            raise ValueError(f"frames need hop <= length <= n_fft, got hop {hop}, length {length}, n_fft {n_fft}")
        if window not in WINDOWS:
            raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
        self.length, self.hop, self.n_fft = length, hop, n_fft
        self.before = length - hop
        self.num_bins = n_fft // 2 + 1
        analysis, synthesis = window_pair(window, length, hop)
        self.power = float(np.square(analysis).sum())
        self.analysis, self.synthesis = Constant(analysis), Constant(synthesis)

    def num_frames(self, lengths: Count) -> Count:
        """Frames of waveforms of `lengths` samples [B], or of one."""
        return (lengths + self.before + self.hop - 1) // self.hop

    def analyse(self, waveform: Tensor) -> Tensor:
        """Spectrum [B, 2, F, N] of waveforms [B, T]."""
        samples = waveform.shape[1]
        behind = self.num_frames(samples) * self.hop - samples
        return self.spectra(F.pad(waveform, (self.before, behind)))

    def synthesise(self, spectrum: Tensor, num_samples: int) -> Tensor:
        """Waveforms [B, num_samples] of spectra [B, 2, F, N]."""
        return self.overlap(spectrum)[:, self.before : self.before + num_samples]

    def spectra(self, samples: Tensor) -> Tensor:
        """Spectrum [B, 2, F, N] of the N whole frames in `samples` [B, `before` + N `hop`]."""
        framed = samples.unfold(1, self.length, self.hop) * self.analysis.value
        spectrum = torch.fft.rfft(framed, n=self.n_fft)
        return torch.stack([spectrum.real, spectrum.imag], dim=1).transpose(2, 3)

    def overlap(self, spectrum: Tensor) -> Tensor:
        """Frames [B, 2, F, N] as samples, added where they overlap [B, (N + P - 1) `hop`], P = ceil(`length` / `hop`)."""
        framed = torch.fft.irfft(torch.complex(spectrum[:, 0], spectrum[:, 1]), n=self.n_fft, dim=1)
        framed = framed[:, : self.length] * self.synthesis.value[:, None]
        parts = -(-self.length // self.hop)
        pieces = F.pad(framed, (0, 0, 0, parts * self.hop - self.length)).unflatten(1, (parts, self.hop))
        moved = [F.pad(pieces[:, part], (part, parts - 1 - part)) for part in range(parts)]
        return torch.stack(moved).sum(dim=0).transpose(1, 2).flatten(1)


def window_pair(name: str, length: int, hop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Windows [length] of analysis and synthesis whose products, `hop` samples apart, add up to 1 at every sample.

    Raises:
        ValueError: The frames lie so far apart that some samples are hardly in any.

    Example:
        >>> analysis, synthesis = window_pair("sine", 4, 2)
        >>> (analysis * synthesis).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    analysis = window(name, length, periodic=True)
    parts = -(-length // hop)
    squares = np.pad(analysis**2, (0, parts * hop - length)).reshape(parts, hop).sum(axis=0)
    if squares.min() < LEAST * squares.max():
        raise ValueError(f"a {name} window of {length} samples cannot be undone with a hop of {hop}: take a smaller hop")
    return analysis, analysis / np.tile(squares, parts)[:length]
