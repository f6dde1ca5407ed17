"""The estimate of the signal-to-noise ratio against noise added at a known one."""

import math
from pathlib import Path

import numpy as np
import pytest

from voxid.audio.io import load
from voxid.audio.snr import HIGHEST, LOWEST, snr
from voxid.errors import AudioError

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
LEVELS = (0, 5, 10, 15, 20)


def speech(name, rate=16_000):
    waveform = load(SAMPLES / f"{name}.opus").waveform.astype(np.float64)
    return waveform[: len(waveform) // rate * rate]


def with_noise(clean, level, colour="white", seed=0):
    noise = np.random.default_rng(seed).normal(size=clean.size)
    if colour == "pink":
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.arange(spectrum.size) + 10), clean.size)
    gain = math.sqrt((clean**2).mean() / (noise**2).mean()) * 10 ** (-level / 20)
    return clean + gain * noise


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("name", ["anna_1", "ben_2", "clara_1"])
def test_noise_added_at_a_known_level_is_found(name, colour):
    clean = speech(name)
    found = [snr(with_noise(clean, level, colour), 16_000) for level in LEVELS]
    own = snr(clean, 16_000)  # the noise that the recording has itself comes on top
    expected = [-10 * math.log10(10 ** (-level / 10) + 10 ** (-own / 10)) for level in LEVELS]
    assert found == pytest.approx(expected, abs=3)
    assert [*found, own] == sorted([*found, own])


def test_real_recordings_too(shared):
    import soundfile

    paths = sorted((shared / "data" / "libri_mini").rglob("*.opus"))[::12]
    found = []
    for path in paths:
        clean, rate = soundfile.read(path)
        found.append([snr(with_noise(clean, level), rate) for level in LEVELS])
    assert len(paths) >= 15
    assert np.median(found, axis=0) == pytest.approx(LEVELS, abs=1)
    assert (np.diff(found, axis=1) > 0).mean() > 0.99


@pytest.mark.parametrize("gain", [1e-2, 0.3, 1.0])
def test_neither_loudness_nor_an_offset_matters(gain):
    noisy = with_noise(speech("ben_1"), 10)
    assert snr(noisy * gain + 0.1, 16_000) == pytest.approx(snr(noisy, 16_000), abs=0.05)


def test_padding_is_no_pause():
    noisy = with_noise(speech("anna_2"), 10)
    padded = np.concatenate([np.zeros(40_000), noisy, np.zeros(40_000)])
    assert snr(padded, 16_000) == pytest.approx(snr(noisy, 16_000), abs=0.5)


def test_silence_and_shreds_are_the_lowest():
    assert snr(np.zeros(16_000), 16_000) == snr(np.full(16_000, 0.2), 16_000) == snr([], 16_000) == snr([0.1], 16_000) == LOWEST


def test_even_noise_is_below_zero_and_pauses_without_noise_are_the_highest():
    random = np.random.default_rng(0)
    assert LOWEST <= snr(random.normal(0, 0.1, 16_000), 16_000) < -5
    gated = 0.5 * np.sin(np.arange(48_000)) * (np.arange(48_000) % 16_000 < 8_000) + 1e-4 * random.normal(size=48_000)
    assert snr(gated, 16_000) == HIGHEST


@pytest.mark.parametrize("waveform", [np.zeros((2, 100)), [0.0, math.nan], [math.inf]])
def test_what_is_no_waveform_is_refused(waveform):
    with pytest.raises(AudioError):
        snr(waveform, 16_000)
