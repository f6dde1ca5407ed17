"""Nets without training whose answer is known."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn


class Echo(nn.Module):
    """An enhancer that gives its input times `gain`; it counts the waveforms that it hears."""

    kind: ClassVar[str] = "enhancement"

    def __init__(self, gain: float = 1.0, sample_rate: int = 16000) -> None:
        super().__init__()
        self.gain, self.sample_rate, self.card, self.lengths = gain, sample_rate, {"name": "echo"}, []

    def forward(self, waveform: Tensor) -> Tensor:
        self.lengths.append(waveform.shape[1])
        return self.gain * waveform


class Bands(nn.Module):
    """A separator of what lies below and above 1 kHz, whose two outputs change places from call to call, with these gains."""

    kind: ClassVar[str] = "separation"

    def __init__(self, sample_rate: int = 16000, swaps: bool = True, gains: tuple[float, float] = (1.0, 1.0)) -> None:
        super().__init__()
        self.sample_rate, self.swaps, self.gains, self.card, self.num_sources, self.calls = sample_rate, swaps, gains, {}, 2, 0

    def forward(self, waveform: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(waveform)
        low = torch.fft.rfftfreq(waveform.shape[1], 1 / self.sample_rate) < 1000
        parts = [torch.fft.irfft(spectrum * band, n=waveform.shape[1]) for band in (low, ~low)]
        self.calls += 1
        sources = torch.stack(parts[::-1] if self.swaps and self.calls % 2 else parts, dim=1)
        return sources * torch.tensor(self.gains)[:, None]


@pytest.fixture(scope="session")
def echo() -> type[Echo]:
    return Echo


@pytest.fixture(scope="session")
def bands() -> type[Bands]:
    return Bands
