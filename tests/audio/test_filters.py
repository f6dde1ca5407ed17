"""Convolution and resampling against SciPy and soxr."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch
from scipy.signal import fftconvolve, firwin, resample_poly

from voxid.audio.filters import convolve, fft_size, multiply, resample, spectra


@pytest.mark.parametrize(("samples", "taps"), [(5000, 700), (5000, 64), (300, 4000), (40000, 1024), (1, 1)])
@pytest.mark.parametrize("start", [0, 0.3, 1])
def test_each_row_is_convolved_with_its_own_kernel(samples: int, taps: int, start: float) -> None:
    draw = np.random.default_rng(0)
    signal, kernel, first = draw.normal(size=(3, samples)), draw.normal(size=(3, taps)), int(start * (taps - 1))
    whole = np.stack([fftconvolve(*rows) for rows in zip(signal, kernel, strict=True)])
    got = convolve(torch.from_numpy(signal), torch.from_numpy(kernel), first).numpy()
    expected = np.pad(whole, ((0, 0), (0, samples)))[:, first : first + samples]
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_a_spectrum_at_hand_and_one_kernel_for_all_give_the_same() -> None:
    signal, kernel = torch.randn(4, 3000), torch.randn(1, 500)
    expected = convolve(signal, kernel.expand(4, -1), 7)
    torch.testing.assert_close(convolve(signal, kernel, 7), expected)
    torch.testing.assert_close(multiply(signal, spectra(kernel, 3000), 500, 7), expected)


def test_blocks_are_used_where_they_cost_less() -> None:
    assert fft_size(32000, 256) < 32000 / 4
    assert fft_size(32000, 8000) >= 32000 + 8000 - 1


def noise_below(hertz: float, rate: int, samples: int) -> np.ndarray:
    """Noise without anything above a frequency, silent at both ends."""
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=samples))
    spectrum[int(hertz * samples / rate) :] = 0
    return np.fft.irfft(spectrum, samples) * np.hanning(samples)


@pytest.mark.parametrize(("up", "down"), [(10, 9), (10, 11), (1, 2), (2, 1), (160, 441), (3, 4)])
def test_resampling_is_that_of_scipy_and_of_soxr(up: int, down: int) -> None:
    signal = noise_below(0.8 * 8000 * min(1, up / down), 16000, 8000)
    got = resample(torch.from_numpy(np.stack([signal, -signal])).float(), up, down).numpy()
    assert got.shape == (2, -(-8000 * up // down))
    np.testing.assert_array_equal(got[1], -got[0])
    sharp = resample_poly(signal, up, down, window=firwin(128 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 12.0)))
    for other in (sharp, soxr.resample(signal, down, up, quality="VHQ")):
        length = min(len(other), got.shape[1])
        error = got[0, :length] - other[:length]
        assert 10 * np.log10((error**2).mean() / (other**2).mean()) < -60


def test_nothing_folds_back() -> None:
    tone = torch.sin(2 * torch.pi * 5000 / 16000 * torch.arange(16000))[None]
    assert resample(tone, 1, 2)[0, 200:-200].square().mean().sqrt() < 10 ** (-70 / 20)


def test_equal_rates_and_single_samples_pass() -> None:
    signal = torch.randn(2, 100)
    assert torch.equal(resample(signal, 5, 5), signal)
    assert resample(torch.ones(1, 1), 1, 2).shape == (1, 1)
