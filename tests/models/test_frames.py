"""Spectra and the way back, against the definition in NumPy and the dual windows of SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import ShortTimeFFT, get_window

from voxid.models.enhancement.frames import Frames, window_pair

SHAPES = {
    "400/160 hann": (400, 160, 512, "hann"),
    "400/100 sine": (400, 100, 512, "sine"),
    "512/256 sine": (512, 256, 512, "sine"),
    "7/3 hamming": (7, 3, 9, "hamming"),
    "5/5 hamming": (5, 5, 8, "hamming"),
}


@settings(max_examples=60, deadline=None)
@given(shape=st.sampled_from(sorted(SHAPES)), samples=st.integers(1, 1700), seed=st.integers(0, 999))
def test_every_sample_comes_back(shape, samples, seed):
    frames = Frames(*SHAPES[shape])
    x = torch.rand(2, samples, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    spectrum = frames.analyse(x)
    again = frames.synthesise(spectrum, samples)
    assert again.shape == x.shape
    assert (again - x).abs().max() < 1e-5
    assert spectrum.shape[3] == frames.num_frames(samples) == frames.num_frames(torch.tensor([samples]))[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_spectrum_is_that_of_the_definition(shape):
    length, hop, points, _ = SHAPES[shape]
    frames = Frames(*SHAPES[shape])
    x = np.random.default_rng(0).uniform(-1, 1, 1001)
    window = np.sqrt(get_window("hann", length)) if "sine" in shape else get_window(shape.split()[1], length)
    padded = np.concatenate([np.zeros(length - hop), x, np.zeros(2 * length)])
    count = -(-(len(x) + length - hop) // hop)  # the last of them still holds the last sample, the next would not
    wanted = np.stack([np.fft.rfft(padded[n * hop : n * hop + length] * window, points) for n in range(count)], axis=1)
    spectrum = frames.analyse(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(spectrum[0] + 1j * spectrum[1], wanted, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_synthesis_window_is_the_dual_of_scipy(shape):
    length, hop, points, name = SHAPES[shape]
    analysis, synthesis = window_pair(name, length, hop)
    np.testing.assert_allclose(synthesis, ShortTimeFFT(analysis, hop, 1.0, mfft=points).dual_win, atol=1e-9)


def test_a_frame_that_is_changed_changes_its_own_samples_only():
    frames = Frames(512, 256, 512)
    x = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    spectrum = frames.analyse(x)
    spectrum[..., 7] = 0
    moved = (frames.synthesise(spectrum, 4000) - x).abs()[0] > 1e-5
    places = moved.nonzero()
    assert places.min() >= 7 * 256 - 256
    assert places.max() < 7 * 256 + 256
    assert len(places) > 500


def test_gradient_goes_both_ways():
    frames = Frames(10, 4, 16, "hann").double()
    x = torch.randn(1, 23, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: frames.synthesise(frames.analyse(y) * 2, 23), x)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hop": 401}, "hop <= length"),
        ({"n_fft": 399}, "hop <= length"),
        ({"hop": 400}, "smaller hop"),
        ({"hop": 0}, "hop must be"),
        ({"window": "povey"}, "one of sine, hann"),
    ],
)
def test_refuses_frames_that_lose_samples(arguments, words):
    with pytest.raises(ValueError, match=words):
        Frames(**arguments)
