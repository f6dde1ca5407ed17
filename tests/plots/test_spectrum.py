"""Levels against scipy's short-time Fourier transform, and what cannot be transformed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from voxid.errors import ConfigError, DataError
from voxid.plots.spectrum import highest, spectrum


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_levels_equal_scipy(draw, rate: int) -> None:
    samples = draw.normal(0, 0.1, rate)
    made = spectrum(samples, rate)
    size, hop = round(0.025 * rate), round(0.01 * rate)
    window = np.hanning(size + 1)[:-1]
    points = 2 * (len(made.frequencies) - 1)
    whole = ShortTimeFFT(window, hop, rate, mfft=points, phase_shift=None)
    for column in (0, 3, len(made.seconds) - 1):
        segment = samples[column * hop : column * hop + size] * window
        expected = 20 * np.log10(np.abs(np.fft.rfft(segment, points)) * 2 / window.sum())
        assert made.levels[:, column] == pytest.approx(expected, abs=1e-3)
        assert made.seconds[column] == pytest.approx((column * hop + size / 2) / rate)
    assert made.frequencies == pytest.approx(whole.f)


@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_a_sine_is_at_its_level_and_its_frequency(amplitude: float) -> None:
    made = spectrum(amplitude * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000), 16000)
    assert made.levels.max() == pytest.approx(20 * np.log10(amplitude), abs=0.05)
    assert (made.frequencies[made.levels.argmax(axis=0)] == 1000).all()


def test_long_recordings_have_few_columns_of_mean_power(draw) -> None:
    samples = draw.normal(0, 0.1, 8000 * 60).astype(np.float32)
    fine, coarse = spectrum(samples, 8000, columns=10**9), spectrum(samples, 8000, columns=100)
    assert fine.levels.shape[1] == 5998
    assert coarse.levels.shape[1] <= 100
    group = -(-5998 // 100)
    power = 10 ** (fine.levels[:, :group] / 10)
    assert coarse.levels[:, 0] == pytest.approx(10 * np.log10(power.mean(axis=1)), abs=1e-3)
    assert coarse.seconds[0] == pytest.approx(fine.seconds[:group].mean())


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(8000), np.full(3, 1e-30)])
def test_silence_and_shortness_have_finite_levels(samples: np.ndarray) -> None:
    made = spectrum(samples, 8000)
    assert np.isfinite(made.levels).all()
    assert made.levels.shape[1] >= 2


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        ([], "E_SHAPE"),
        (np.zeros((2, 2, 2)), "E_SHAPE"),
        (["a"], "E_SHAPE"),
        (np.ones(9, np.int16), "E_SHAPE"),
        ([np.nan], "E_NOT_FINITE"),
    ],
)
def test_what_is_no_waveform_is_refused(samples: object, code: str) -> None:
    with pytest.raises(DataError) as caught:
        spectrum(samples, 8000)
    assert caught.value.code == code


@pytest.mark.parametrize("asked", [0, 50, 4001, float("nan")])
def test_frequencies_that_are_not_there_are_refused(asked: float) -> None:
    with pytest.raises(ConfigError, match=r"100 \.\.\. 4000 Hz"):
        highest(asked, 8000)
    assert highest(None, 8000) == 4000
