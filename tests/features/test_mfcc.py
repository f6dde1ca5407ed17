"""voxid.features.mfcc against scipy's cosine transform and kaldi-native-fbank."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from voxid.features.fbank import fbank
from voxid.features.mfcc import dct_matrix, mfcc


def test_equal_to_kaldi(kaldi, mfcc_options):
    assert kaldi.parity("mfcc", mfcc_options) < 2e-3


@pytest.mark.parametrize(("num_ceps", "num_bins"), [(1, 1), (13, 23), (30, 30), (40, 80)])
def test_cosine_transform_is_scipys(num_ceps, num_bins):
    x = np.random.default_rng(0).standard_normal((num_bins, 7))
    expected = scipy.fft.dct(x, type=2, norm="ortho", axis=0)[:num_ceps]
    np.testing.assert_allclose(dct_matrix(num_ceps, num_bins) @ x, expected, atol=1e-12)


def test_lifter():
    lifted, plain = dct_matrix(13, 23, lifter=22.0), dct_matrix(13, 23)
    np.testing.assert_allclose(lifted[:, 0] / plain[:, 0], [1 + 11 * np.sin(np.pi * i / 22) for i in range(13)])


@pytest.mark.parametrize(("preset", "num_bins", "num_ceps"), [("torchaudio", 128, 40), ("speechbrain", 23, 20)])
def test_presets_without_kaldi(kaldi, preset, num_bins, num_ceps):
    x = torch.from_numpy(kaldi.example())[None]
    db = fbank(x, preset=preset, num_mel_bins=num_bins, log="db", log_floor=1e-10, top_db=80, normalize=None)
    expected = scipy.fft.dct(db[0].numpy(), type=2, norm="ortho", axis=0)[:num_ceps]
    np.testing.assert_allclose(mfcc(x, preset=preset)[0], expected, atol=1e-3)
