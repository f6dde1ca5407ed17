"""Filters for whole batches, on the device of the waveforms: convolution by FFT and resampling by a ratio of small integers."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn.functional import pad

# Zero crossings of the resampling filter on each side, its Kaiser window, and where it is 6 dB down, as a share of the lower
# Nyquist frequency: up to 0.85 of that the error is below -70 dB.
CROSSINGS, KAISER, PASS = 12, 7.0, 0.95
# Sizes whose FFT is quick.
FAST = sorted(factor << power for factor in (1, 3, 5, 9, 15) for power in range(9, 24))


def convolve(signal: Tensor, kernel: Tensor, start: int = 0) -> Tensor:
    """Samples `start` ... `start` + T - 1 of the convolution of each row with its own kernel.

    Args:
        signal: [B, T].
        kernel: [B, R], or [1, R] for all rows.
        start: 0 ... R - 1.

    Returns:
        [B, T].

    Example:
        >>> convolve(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 1.0]]), start=1).round(decimals=4)
        tensor([[1., 2., 3.]])
    """
    return multiply(signal, spectra(kernel, signal.shape[1]), kernel.shape[1], start)


def spectra(kernel: Tensor, samples: int) -> Tensor:
    """Spectra [B, fft_size // 2 + 1] of kernels [B, R], for `multiply` with signals of T = `samples`."""
    return torch.fft.rfft(kernel, n=fft_size(samples, kernel.shape[1]))


def multiply(signal: Tensor, spectrum: Tensor, taps: int, start: int = 0) -> Tensor:
    """`convolve` for kernels of R = `taps` whose spectra are at hand: a third less work."""
    samples = signal.shape[1]
    size = fft_size(samples, taps)
    hop = size - taps + 1
    blocks = -(-samples // hop)
    if blocks == 1:
        return torch.fft.irfft(torch.fft.rfft(signal, n=size).mul_(spectrum), n=size)[:, start : start + samples]
    # Overlap-save: the first taps - 1 samples of a block wrap around and go.
    stream = pad(signal, (taps - 1 - start, start + blocks * hop - samples))
    product = torch.fft.rfft(stream.unfold(1, size, hop)).mul_(spectrum[:, None])
    return torch.fft.irfft(product, n=size)[:, :, taps - 1 :].flatten(1)[:, :samples]


def fft_size(samples: int, taps: int) -> int:
    """The size of FFT with which a convolution costs least: of the blocks, there and back, and of the kernel.

    Example:
        >>> fft_size(32000, 8000), fft_size(32000, 500)
        (40960, 4096)
    """
    most = samples + taps - 1

    def cost(size: int) -> float:
        blocks = -(-samples // (size - taps + 1))
        copies = 10 * blocks if blocks > 1 else 0
        return ((2 * blocks + 1) * math.log2(size) + copies) * size

    return min([size for size in FAST if taps <= size < 2 * most] or [1 << (most - 1).bit_length()], key=cost)


def resample(waveform: Tensor, up: int, down: int) -> Tensor:
    """Waveforms [B, T] at up / down times their rate, without delay: [B, T * up / down, rounded up].

    Example:
        >>> resample(torch.ones(1, 400), 1, 2)[0, 100:102].round(decimals=3)
        tensor([1., 1.])

    A Kaiser-windowed sinc in polyphase form (Smith and Gossett, "A flexible sampling-rate conversion method", ICASSP 1984).
    """
    divisor = math.gcd(up, down)
    up, down = up // divisor, down // divisor
    if up == down:
        return waveform
    samples = -(-waveform.shape[1] * up // down)
    weights, reach = _polyphase(up, down)
    block_in, block_out = len(weights) - 2 * reach, weights.shape[1]
    blocks = -(-samples // block_out)
    stream = pad(waveform, (reach, max(0, blocks * block_in + reach - waveform.shape[1])))
    frames = stream.unfold(1, len(weights), block_in)[:, :blocks]
    return (frames @ weights.to(waveform)).flatten(1)[:, :samples]


@functools.cache
def _polyphase(up: int, down: int) -> tuple[Tensor, int]:
    """Weights of the samples that go into a block, for each one that comes out, and how many stand before the block."""
    cutoff = PASS * min(1.0, up / down)
    reach = math.ceil(CROSSINGS / cutoff)
    # Several periods a block: as many samples go in as the filter is long, so that frames overlap by half.
    periods = max(1, 2 * reach // down)
    before = torch.arange(periods * down + 2 * reach, dtype=torch.float64) - reach
    offset = before[:, None] - torch.arange(periods * up, dtype=torch.float64) * down / up
    taper = torch.special.i0(KAISER * (1 - (offset / reach).square()).clamp(min=0).sqrt())
    weights = torch.sinc(cutoff * offset) * taper * (offset.abs() <= reach)
    return weights / weights.sum(dim=0), reach  # a constant stays what it is
