"""voxid.features.lfcc against loops with scipy's cosine transform, and against the definitions that its presets name."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from voxid.errors import ConfigError
from voxid.features.lfcc import Lfcc, lfcc


def triangles(axis: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Filters [F, bins] of height 1 between neighbouring edges, in Hz."""
    return np.stack([np.interp(axis, edges[i : i + 3], [0, 1, 0]) for i in range(len(edges) - 2)])


def test_voxids_chain_by_a_loop(kaldi):
    x = kaldi.example(1.0)
    scaled = x.astype(np.float64) * 32768
    filters = triangles(np.arange(257) * 16000 / 512, np.linspace(0, 8000, 62))
    columns = []
    for start in range(0, len(x) - 399, 160):
        frame = scaled[start : start + 400]
        frame = frame - frame.mean()
        frame = np.append(frame[0] * (1 - 0.97), frame[1:] - 0.97 * frame[:-1]) * np.hamming(400)
        power = np.abs(np.fft.rfft(frame, 512)) ** 2
        columns.append(scipy.fft.dct(np.log(filters @ power), type=2, norm="ortho")[:30])
    expected = np.stack(columns, axis=1)
    expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(lfcc(torch.from_numpy(x)[None])[0], expected, atol=2e-3)


def test_torchaudios(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    x[:, 20000:30000] *= 1e-5
    power = torch.stft(x, 400, 200, 400, torch.hann_window(400), return_complex=True).abs().square()[0].numpy()
    db = 10 * np.log10(np.maximum(triangles(np.linspace(0, 8000, 201), np.linspace(0, 8000, 130)) @ power, 1e-10))
    db = np.maximum(db, db.max() - 80)
    assert db.min() == db.max() - 80
    expected = scipy.fft.dct(db, type=2, norm="ortho", axis=0)[:40]
    np.testing.assert_allclose(lfcc(x, preset="torchaudio")[0], expected, atol=3e-2, rtol=1e-4)


@pytest.mark.parametrize(("preset", "points"), [("asvspoof2019", 512), ("asvspoof2021", 1024)])
def test_asvspoofs_baselines(kaldi, preset, points):
    x = kaldi.example()
    emphasized = torch.from_numpy(np.append(x[0], x[1:] - np.float32(0.97) * x[:-1]))[None]
    spectrum = torch.stft(emphasized, points, 160, 320, torch.hamming_window(320), pad_mode="constant", return_complex=True)
    power = spectrum.abs().square()[0].double().numpy()
    half = preset == "asvspoof2021"
    if half:  # the first half of the bins, and the filters spread over them from the first to the last
        power = power[:256]
    filters = triangles(np.arange(len(power)), np.linspace(0, len(power) - 1, 22))
    eps = np.finfo(np.float32).eps
    static = scipy.fft.dct(np.log10(filters @ power + eps), type=2, norm="ortho", axis=0)
    if half:
        static[0] = np.log10(power.sum(axis=0) / points + eps)
    parts = [static]
    for _ in range(2):
        wide = np.pad(parts[-1], ((0, 0), (1, 1)), "edge")
        parts.append(wide[:, 2:] - wide[:, :-2])
    ours = Lfcc(preset)(torch.from_numpy(x)[None])[0]
    assert ours.shape == (60, 301)
    np.testing.assert_allclose(ours, np.concatenate(parts), atol=2e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_ceps": 61}, "num_ceps must lie within 1 ... num_filters = 60, got 61"),
        ({"num_mel_bins": 40}, "unknown argument 'num_mel_bins'"),
        ({"high": 9000}, "0 <= low < high <= 8000 Hz"),
        ({"use_energy": True, "power": 1}, "use_energy needs power=2"),
        ({"preset": "kaldi"}, "unknown preset 'kaldi'"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        Lfcc(**options)
    assert words in str(error.value)
