"""Augmentation against SciPy, and by what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from voxid.audio.augment import Augmenter, change_speed, mix, reverberate
from voxid.errors import ConfigError


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


def augmenter(**options: float) -> Augmenter:
    draw = np.random.default_rng(0)
    return Augmenter([draw.normal(size=500), draw.normal(size=50000)], [np.eye(1, 60)[0], draw.normal(size=90)], **options)


def test_the_generator_decides_everything() -> None:
    waveform, augment = torch.randn(16, 4000), augmenter()
    first, second, other = (augment(waveform, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == waveform.shape
    assert torch.isfinite(first).all()


def test_items_are_augmented_each_for_itself_and_at_the_rate_asked_for() -> None:
    waveform = torch.randn(400, 256)
    out = augmenter(noise_prob=0.5, babble_prob=0.0, reverb_prob=0.0)(waveform, torch.Generator().manual_seed(0))
    changed = (out != waveform).any(dim=1)
    assert 0.4 < changed.float().mean() < 0.6
    added = (out - waveform)[changed]
    assert not torch.allclose(added[0], added[1])


def test_without_sources_nothing_changes() -> None:
    waveform = torch.randn(4, 100)
    assert torch.equal(Augmenter(babble_prob=0.0)(waveform, torch.Generator()), waveform)


def test_babble_is_made_of_the_other_items() -> None:
    waveform = torch.zeros(3, 4)
    waveform[0] = 1.0
    waveform[1, 0], waveform[2, 1] = 1.0, 1.0
    out = Augmenter(babble_prob=1.0, babble_snr_db=(0.0, 0.0))(waveform, torch.Generator().manual_seed(0))
    assert out[0, 0] > 1.0
    assert out[0, 1] > 1.0
    assert torch.allclose(out[0, 2:], torch.ones(2))


@pytest.mark.parametrize("name", ["noise_prob", "babble_prob", "reverb_prob"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "high", None, True])
def test_a_share_lies_within_0_and_1(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Augmenter(**{name: value})


@pytest.mark.parametrize("name", ["noise_snr_db", "babble_snr_db"])
@pytest.mark.parametrize("value", [5, [0], [0, 10, 20], [20, 0], ["0", "10"], [0, float("inf")], "05", None])
def test_a_range_is_two_numbers(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Augmenter(**{name: value})
