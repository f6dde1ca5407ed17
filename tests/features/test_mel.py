"""voxid.features.mel against kaldi-native-fbank's matrices and against plain interpolation."""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np
import pytest

from voxid.features.mel import hz_to_mel, mel_filters, mel_to_hz


def kaldi_matrix(num_bins, n_fft, rate, low, high, slaney=False, norm=""):
    frame, mel = knf.FrameExtractionOptions(), knf.MelBanksOptions()
    frame.samp_freq, frame.frame_length_ms = rate, 1000 * n_fft / rate
    mel.num_bins, mel.low_freq, mel.high_freq = num_bins, low, high
    mel.is_librosa, mel.norm = slaney, norm
    return knf.MelBanks(mel, frame).get_matrix()


@pytest.mark.parametrize(
    ("num_bins", "n_fft", "rate", "low", "high"),
    [(23, 512, 16000, 20, 8000), (80, 512, 16000, 20, 7600), (40, 256, 8000, 0, 4000), (128, 1024, 16000, 20, 8000)],
)
def test_triangles_in_mel_are_kaldis(num_bins, n_fft, rate, low, high):
    ours = mel_filters(num_bins, n_fft, rate, low, high)
    theirs = kaldi_matrix(num_bins, n_fft, rate, low, high)
    # Kaldi keeps no column for half the rate; no triangle reaches it.
    np.testing.assert_array_equal(ours[:, -1], 0)
    np.testing.assert_allclose(ours[:, : theirs.shape[1]], theirs[:, : n_fft // 2 + 1], atol=2e-5)


@pytest.mark.parametrize("norm", ["none", "slaney"])
def test_triangles_in_hertz_on_slaneys_scale_are_librosas(norm):
    ours = mel_filters(64, 512, 16000, 0, 8000, scale="slaney", shape="hz", norm=norm)
    theirs = kaldi_matrix(64, 512, 16000, 0, 8000, slaney=True, norm="" if norm == "none" else norm)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("shape", ["hz", "symmetric"])
def test_triangles_in_hertz_by_interpolation(shape):
    filters = mel_filters(40, 400, 16000, 0, 8000, shape=shape)
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    axis = np.linspace(0, 8000, 201)
    for row, (left, center, right) in enumerate(zip(hertz, hertz[1:], hertz[2:], strict=False)):
        end = right if shape == "hz" else center + (center - left)
        np.testing.assert_allclose(filters[row], np.interp(axis, [left, center, end], [0, 1, 0]), atol=1e-9)


@pytest.mark.parametrize("shape", ["mel", "hz"])
def test_linear_triangles_by_interpolation(shape):
    filters = mel_filters(20, 512, 16000, 100, 7000, scale="linear", shape=shape)
    edges, axis = np.linspace(100, 7000, 22), np.arange(257) * 31.25
    for row in range(20):
        np.testing.assert_allclose(filters[row], np.interp(axis, edges[row : row + 3], [0, 1, 0]), atol=1e-9)


@pytest.mark.parametrize("scale", ["htk", "slaney", "linear"])
def test_mel_and_back(scale):
    hertz = np.linspace(0, 24000, 481)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz, scale), scale), hertz, atol=1e-8)
    assert np.all(np.diff(hz_to_mel(hertz, scale)) > 0)
