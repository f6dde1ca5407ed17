"""voxid.features.cqt against the definition: inner products with windowed complex exponentials, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.errors import ConfigError
from voxid.features.cqt import Cqt


def direct(x: np.ndarray, shift: int, f_min: float, num_bins: int, per_octave: int, q_scale: float = 1.0) -> np.ndarray:
    """Magnitudes [F, N] of x [T]: every sum written out."""
    q = q_scale / (2 ** (1 / per_octave) - 1)
    out = np.zeros((num_bins, len(x) // shift + 1))
    for k in range(num_bins):
        frequency = f_min * 2 ** (k / per_octave)
        size = int(np.ceil(q * 16000 / frequency))
        m = np.arange(size)
        weights = 0.5 - 0.5 * np.cos(2 * np.pi * m / size)
        atom = weights / weights.sum() * np.exp(-2j * np.pi * frequency / 16000 * m)
        padded = np.concatenate([np.zeros(size), x, np.zeros(size)])
        for n in range(out.shape[1]):
            start = size + n * shift - size // 2
            out[k, n] = np.abs(np.sum(padded[start : start + size] * atom))
    return out


@pytest.mark.parametrize(
    ("shift", "f_min", "num_bins", "per_octave", "q_scale"),
    [(160, 62.5, 84, 12, 1.0), (128, 110.0, 50, 24, 0.5), (200, 32.7, 20, 3, 1.0), (160, 1000.0, 8, 36, 2.0)],
)
def test_it_is_the_definition(kaldi, shift, f_min, num_bins, per_octave, q_scale):
    x = kaldi.example(0.7)
    expected = direct(x.astype(np.float64), shift, f_min, num_bins, per_octave, q_scale)
    frontend = Cqt(
        frame_shift=shift / 16,
        f_min=f_min,
        num_bins=num_bins,
        bins_per_octave=per_octave,
        filter_scale=q_scale,
        power=1,
        log=None,
        normalize=None,
    )
    ours = frontend(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-7, rtol=1e-4)


def test_the_logarithm_and_its_floor(kaldi):
    x = np.concatenate([kaldi.example(0.3), np.zeros(8000, dtype=np.float32)])
    expected = direct(x.astype(np.float64), 160, 62.5, 84, 12)
    ours = Cqt(normalize=None)(torch.from_numpy(x)[None])[0].numpy()
    logarithm = np.log(np.maximum(expected**2, 1e-10))
    loud = expected > 1e-3
    assert loud.mean() > 0.2
    np.testing.assert_allclose(ours[loud], logarithm[loud], atol=1e-3)
    assert ours[:, -1].max() == pytest.approx(np.log(1e-10), abs=1e-4)


def test_a_tone_stands_in_its_own_bin_with_half_its_amplitude():
    t = np.arange(16000) / 16000
    tones = np.stack([0.3 * np.cos(2 * np.pi * 62.5 * 2 ** (k / 12) * t) for k in (0, 5, 40, 83)])
    magnitude = Cqt(power=1, log=None, normalize=None)(torch.from_numpy(tones).float())[:, :, 40:60].mean(dim=2)
    assert magnitude.argmax(dim=1).tolist() == [0, 5, 40, 83]
    torch.testing.assert_close(magnitude.amax(dim=1), torch.full((4,), 0.15), atol=1e-3, rtol=0)


def test_the_size_of_the_pieces_does_not_show(monkeypatch):
    x, lengths = torch.randn(5, 8000), torch.tensor([8000, 1, 4000, 159, 160])
    whole = Cqt()(x, lengths)
    for size in (1, 120):
        monkeypatch.setattr("voxid.features.cqt.CHUNK_CPU", size)
        torch.testing.assert_close(Cqt()(x, lengths), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_bins": 85}, "reach beyond 8000 Hz (half the rate)"),
        ({"f_min": 0}, "f_min must be above 0"),
        ({"f_min": 1e-3, "num_bins": 1}, "samples long: take a higher f_min"),
        ({"bins_per_octaves": 12}, "did you mean 'bins_per_octave'"),
        ({"window": "han"}, "unknown window 'han'"),
        ({"log_floor": 0}, "silence has no logarithm"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        Cqt(**options)
    assert words in str(error.value)
