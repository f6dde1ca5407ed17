"""Effects on batches against SciPy, and by what they promise."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import soxr
import torch
from scipy.signal import fftconvolve, firwin, freqz, welch

from voxid.audio import effects
from voxid.audio.effects import change_speed, clip, equalize, mix, reverberate, speed, telephone, volume


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 17.0])
def test_the_ratio_is_what_was_asked_for(snr_db: float) -> None:
    speech, noise = torch.randn(3, 8000), 7 * torch.randn(3, 8000)
    added = mix(speech, noise, torch.full((3,), snr_db)) - speech
    ratio = 10 * torch.log10(speech.square().mean(dim=1) / added.square().mean(dim=1))
    assert torch.allclose(ratio, torch.full((3,), snr_db), atol=1e-3)


def test_silent_noise_and_silent_speech_stay_finite() -> None:
    zeros, ones = torch.zeros(1, 100), torch.ones(1, 100)
    assert torch.equal(mix(ones, zeros, torch.tensor([0.0])), ones)
    assert torch.equal(mix(zeros, ones, torch.tensor([0.0])), zeros)


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: reverberate(x, torch.ones(2, 5)),
        lambda x: equalize(x, torch.ones(2, 4), 16000),
        lambda x: telephone(x, 16000),
        lambda x: clip(x, torch.tensor([0.1])),
        lambda x: speed(x, 0.9),
        lambda x: volume(x, torch.tensor([6.0])),
    ],
)
@pytest.mark.parametrize("samples", [1, 2, 700])
def test_silence_stays_silent_and_any_length_keeps_its_shape(effect, samples: int) -> None:
    assert torch.equal(effect(torch.zeros(2, samples)), torch.zeros(2, samples))
    loud = effect(torch.randn(2, samples))
    assert loud.shape == (2, samples)
    assert torch.isfinite(loud).all()


def test_a_room_is_a_convolution_with_the_direct_path_in_place() -> None:
    draw = np.random.default_rng(0)
    speech, rooms = draw.normal(size=(2, 4000)), draw.normal(size=(2, 700)) * np.exp(-np.arange(700) / 80)
    rooms[0, 30], rooms[1, 111] = 5.0, -6.0
    got = reverberate(torch.from_numpy(speech), torch.from_numpy(rooms)).numpy()
    for row, (dry, room, start) in enumerate(zip(speech, rooms, (30, 111), strict=True)):
        wet = fftconvolve(dry, room)[start : start + 4000]
        np.testing.assert_allclose(got[row], wet * np.sqrt((dry**2).mean() / (wet**2).mean()), atol=1e-9)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_moves_the_pitch(factor: float) -> None:
    time = np.arange(16000) / 16000
    faster = change_speed(np.sin(2 * np.pi * 1000 * time).astype(np.float32), factor)
    assert len(faster) == pytest.approx(16000 / factor, abs=2)
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert spectrum.argmax() * 16000 / len(faster) == pytest.approx(1000 * factor, abs=2)


@pytest.mark.parametrize("factor", [0.8, 0.9, 0.95, 1.05, 1.1, 1.25])
def test_speed_of_a_batch_is_that_of_soxr(factor: float) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=16000))
    spectrum[5000:] = 0
    signal = np.fft.irfft(spectrum, 16000)
    got = speed(torch.from_numpy(signal)[None], factor)[0].numpy()
    expected = soxr.resample(signal, factor, 1.0, quality="VHQ")
    whole = math.ceil(16000 / Fraction(factor).limit_denominator(100))
    inside = slice(300, min(len(expected), 16000) - 300)
    error = got[inside] - expected[: len(got)][inside]
    assert 10 * np.log10((error**2).mean() / (signal**2).mean()) < -60
    if factor > 1:  # begins again
        np.testing.assert_array_equal(got[whole:], got[: 16000 - whole])


def response(effect) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and gain in dB of what an effect does to a click."""
    click = torch.zeros(1, 16000, dtype=torch.float64)
    click[0, 8000] = 1.0
    gain = np.abs(np.fft.rfft(effect(click)[0].numpy()))
    return np.fft.rfftfreq(16000, 1 / 16000), 20 * np.log10(np.maximum(gain, 1e-9))


def test_a_telephone_passes_300_to_3400_hertz() -> None:
    frequency, gain = response(lambda click: telephone(click, 16000))
    _, wanted = freqz(firwin(201, [300, 3400], fs=8000, pass_zero=False), worN=frequency[:3200], fs=8000)
    np.testing.assert_allclose(10 ** (gain[:3200] / 20), np.abs(wanted), atol=0.01)
    assert np.abs(gain[(frequency > 400) & (frequency < 3200)]).max() < 0.1
    assert gain[3400] == pytest.approx(-6, abs=1.5)  # here the resampling begins to fall as well
    assert gain[(frequency < 180) | (frequency > 3700)].max() < -40


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_telephone_has_the_same_band_at_every_rate(rate: int) -> None:
    low, mid, high = (torch.sin(2 * torch.pi * f / rate * torch.arange(rate)) for f in (100, 1000, 3800))
    power = telephone(torch.stack([low, mid, high]), rate)[:, rate // 10 : -rate // 10].square().mean(dim=1)
    assert power[1] == pytest.approx(0.5, rel=0.01)
    assert power[[0, 2]].max() < 1e-4


def test_a_line_codes_at_8_kilohertz() -> None:
    seen = []
    telephone(torch.randn(3, 1601), 16000, lambda narrow: seen.append(narrow.shape) or narrow)
    assert seen == [(3, 801)]


def test_an_equaliser_has_the_gains_it_was_given() -> None:
    gains = torch.tensor([[0.0, 10.0, -10.0, 5.0, -5.0, 0.0, 3.0, -8.0], [6.0] * 8])
    signal = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 400_000)))
    out = equalize(signal, gains, 16000)
    torch.testing.assert_close(out.square().mean(dim=1), signal.square().mean(dim=1))
    torch.testing.assert_close(out[1], signal[1], atol=1e-4, rtol=0)  # the same everywhere: nothing but level
    frequency, before = welch(signal[0].numpy(), 16000, nperseg=4096)
    _, after = welch(out[0].numpy(), 16000, nperseg=4096)
    points = 60 * (8000 / 60) ** (np.arange(8) / 7)
    heard = np.interp(points, frequency, 10 * np.log10(after / before))
    offset = heard[4] - gains[0, 4].item()  # power is kept, so the curve moves as a whole
    np.testing.assert_allclose(heard[3:7] - offset, gains[0, 3:7], atol=0.5)
    np.testing.assert_allclose(heard[1:3] - offset, gains[0, 1:3], atol=1.0)


def test_a_gain_is_in_decibel() -> None:
    signal = torch.randn(2, 100)
    torch.testing.assert_close(volume(signal, torch.tensor([20.0, -6.0])), signal * torch.tensor([[10.0], [10 ** (-6 / 20)]]))


def test_clipping_cuts_off_the_share_asked_for() -> None:
    signal = torch.randn(3, 10_000)
    share = torch.tensor([0.0, 0.01, 0.2])
    out = clip(signal, share)
    loudest = np.sort(np.abs(signal.numpy()), axis=1)[:, ::-1]
    limit = torch.from_numpy(np.array([row[count] for row, count in zip(loudest, (0, 100, 2000), strict=True)]))
    torch.testing.assert_close(out.abs().amax(dim=1), limit)
    assert torch.equal(out[0], signal[0])
    untouched = signal.abs() <= limit[:, None]
    assert torch.equal(out[untouched], signal[untouched])
    assert ((~untouched).float().mean(dim=1) - share).abs().max() < 2e-4
    assert torch.equal(out[1].sign(), signal[1].sign())


def test_align_moves_the_peaks_and_nothing_else() -> None:
    rooms = torch.tensor([[0.0, 1.0, 0.5, 0.2], [0.1, 0.2, -3.0, 0.4]])
    moved, place = effects.align(rooms)
    assert place == 2
    assert moved.abs().argmax(dim=1).tolist() == [2, 2]
    torch.testing.assert_close(moved[:, :5], torch.tensor([[0.0, 0.0, 1.0, 0.5, 0.2], [0.1, 0.2, -3.0, 0.4, 0.0]]))
