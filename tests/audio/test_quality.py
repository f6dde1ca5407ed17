"""The meter: levels beside NumPy on the whole signal, and what can be no voice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.audio import io
from voxid.audio.quality import Meter
from voxid.errors import AudioError


def measure(wave: np.ndarray, rate: int = 16000, block: int = 5000) -> Meter:
    planes = np.atleast_2d(wave).astype(np.float32)
    meter = Meter(rate, len(planes))
    for start in range(0, planes.shape[1], block):
        meter.add(planes[:, start : start + block])
    return meter


@settings(max_examples=30, deadline=None, derandomize=True)
@given(block=st.integers(1, 40000), gain=st.floats(1e-4, 3), channels=st.integers(1, 3))
def test_levels_do_not_depend_on_the_blocks(voice, block, gain, channels):
    wave = np.stack([gain * voice(1.0, seed=seed) for seed in range(channels)])
    meter = measure(wave, block=max(block, 500))
    assert meter.peak == pytest.approx(np.abs(wave).max())
    assert meter.rms_db == pytest.approx(10 * np.log10(np.mean(np.square(wave.astype(np.float64)))), abs=1e-3)
    assert meter.clipping == pytest.approx(np.mean(np.abs(wave.astype(np.float32)) >= 0.99))
    assert meter.voiceless() == ""


def signals(rate: int = 16000, seconds: float = 1.0) -> dict[str, np.ndarray]:
    rng, time = np.random.default_rng(0), np.arange(round(rate * seconds)) / rate
    impulse = np.zeros_like(time)
    impulse[len(time) // 2] = 1
    return {
        "zeros": np.zeros_like(time),
        "constant": np.full_like(time, 0.99997),
        "lowest": np.full_like(time, -1.0),
        "denormal": np.full_like(time, 1e-40) * np.sin(time),
        "last bit": rng.integers(-1, 2, len(time)) / 32768,
        "white noise": 0.3 * rng.standard_normal(len(time)),
        "quiet noise": 0.001 * rng.standard_normal(len(time)),
        "tone": 0.5 * np.sin(2 * np.pi * rate / 16 * time),
        "hum": 0.5 * np.sin(2 * np.pi * 97.3 * time),
        "nyquist": 0.9 * np.cos(np.pi * np.arange(len(time))),
        "impulse": impulse,
        "offset impulse": 0.25 + 0.5 * impulse,
    }


@pytest.mark.parametrize("name", signals())
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("seconds", [0.2, 1.0, 20.0])
def test_what_is_no_voice(name, rate, seconds):
    assert measure(signals(rate, seconds)[name], rate).voiceless() != ""


@pytest.mark.parametrize("gain", [1e-4, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("rate", [4000, 8000, 16000, 96000])
def test_a_voice_passes_at_any_level(voice, gain, rate):
    assert measure(voice(1.0, rate) * gain, rate).voiceless() == ""


def test_a_voice_passes_when_it_is_clipped_noisy_or_offset(voice):
    rng = np.random.default_rng(0)
    wave = voice(2.0)
    assert measure(np.sign(wave)).voiceless() == ""
    assert measure(wave + 0.5).voiceless() == ""
    assert measure(wave + wave.std() * rng.standard_normal(len(wave))).voiceless() == ""  # 0 dB SNR
    assert measure(wave[4000:8000]).voiceless() == ""


def test_one_channel_with_a_voice_is_enough(voice):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    assert measure(np.stack([np.zeros(16000), voice(1.0)])).voiceless() == ""
    assert measure(np.stack([np.zeros(16000), noise])).voiceless() == "silent"


def test_too_little_to_measure():
    assert measure(np.zeros(10)).voiceless() == "silent"
    assert measure(np.sin(np.arange(100.0))).voiceless() == "nothing longer than a click"


def test_real_voices_pass(shared):
    """Of real recordings of four corpora none may be refused."""
    paths = [path for corpus in ("cv_fr", "libri_mini", "fsdd", "speech_commands") for path in sample(shared / "data" / corpus)]
    assert len(paths) >= 60
    for path in paths:
        try:
            recording = io.load(path, sample_rate=None)
        except AudioError as error:
            pytest.fail(str(error))
        assert measure(recording.waveform, recording.rate, 1 << 20).voiceless() == "", path


def sample(folder):
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".opus", ".wav", ".mp3"))
    return files[:: max(1, len(files) // 20)]
