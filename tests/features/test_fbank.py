"""voxid.features.fbank against kaldi-native-fbank, a plain double-precision chain, and the chains that its presets name."""

from __future__ import annotations

import math

import kaldi_native_fbank as knf
import numpy as np
import pytest
import soundfile
import torch

from voxid.features.fbank import Fbank, fbank


def test_equal_to_kaldi(kaldi, fbank_options):
    assert kaldi.parity("fbank", fbank_options) < 2e-3


@pytest.mark.parametrize("edges", ["snip", "mirror"])
@pytest.mark.parametrize("samples", [400, 401, 559, 560, 561, 639, 1000])
def test_short_waveforms_are_kaldis(kaldi, edges, samples):
    x = kaldi.example()[:samples]
    options = {"edges": edges}
    np.testing.assert_allclose(
        fbank(torch.from_numpy(x)[None], preset="kaldi", **options)[0], kaldi.kaldi_features("fbank", x, options), atol=2e-3
    )


def test_mirrored_edges_of_a_waveform_shorter_than_a_frame_are_kaldis(kaldi):
    x = kaldi.example()[1000:1090]
    options = {"edges": "mirror"}
    ours = fbank(torch.from_numpy(x)[None], preset="kaldi", **options)[0]
    np.testing.assert_allclose(ours, kaldi.kaldi_features("fbank", x, options), atol=2e-3)


def test_without_logarithm(kaldi):
    x = kaldi.example()
    plain = fbank(torch.from_numpy(x)[None], preset="kaldi", log=None)[0]
    np.testing.assert_allclose(plain.log(), kaldi.kaldi_features("fbank", x, {}), atol=2e-3)


def double_chain(x: torch.Tensor, rate: int = 16000) -> torch.Tensor:
    """voxid's own chain, frame by frame and in the precision of x."""
    frames = (x * 32768).unfold(1, 400, 160)
    frames = frames - frames.mean(2, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], 2)
    window = 0.54 - 0.46 * torch.cos(2 * math.pi * torch.arange(400, dtype=x.dtype) / 399)
    power = torch.fft.rfft(frames * window, n=512).abs().square()
    mel = 1127 * torch.log(1 + torch.arange(257, dtype=x.dtype) * rate / 512 / 700)
    edges = torch.linspace(1127 * math.log(1 + 20 / 700), 1127 * math.log(1 + 7600 / 700), 82, dtype=x.dtype)
    up = (mel - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - mel) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(up, down).clamp(min=0)
    features = (power @ filters.T).clamp(min=2.0**-23).log().transpose(1, 2)
    return features - features.mean(2, keepdim=True)


def test_values_and_gradients_are_those_of_the_plain_chain(kaldi):
    x = torch.from_numpy(kaldi.example(0.5))[None]
    weights = torch.randn(1, 80, 48, generator=torch.Generator().manual_seed(1))
    results = []
    for chain, dtype in ((Fbank(), torch.float32), (double_chain, torch.float64)):
        leaf = x.to(dtype, copy=True).requires_grad_()
        features = chain(leaf)
        (features * weights).sum().backward()
        results.append((features.detach().double(), leaf.grad.double()))
    (ours, our_gradient), (theirs, their_gradient) = results
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    torch.testing.assert_close(our_gradient, their_gradient, atol=1e-3 * float(their_gradient.abs().max()), rtol=0)


def test_wespeakers_and_3dspeakers_chains(kaldi):
    x = kaldi.example()
    for preset, options in (("wespeaker", {"window": "hamming"}), ("3dspeaker", {"scale": 1.0})):
        expected = kaldi.kaldi_features("fbank", x, {**options, "num_mel_bins": 80})
        expected = expected - expected.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(fbank(torch.from_numpy(x)[None], preset=preset)[0], expected, atol=2e-3)


def hertz_triangles(num_bins: int, symmetric: bool) -> torch.Tensor:
    hertz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), num_bins + 2) / 2595) - 1)
    axis = np.linspace(0, 8000, 201)
    rows = []
    for left, center, right in zip(hertz, hertz[1:], hertz[2:], strict=False):
        rows.append(np.interp(axis, [left, center, 2 * center - left if symmetric else right], [0, 1, 0]))
    return torch.from_numpy(np.stack(rows)).float()


def test_torchaudios_mel_spectrogram(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    power = torch.stft(x, 400, 200, 400, torch.hann_window(400), return_complex=True).abs().square()
    expected = hertz_triangles(128, symmetric=False) @ power
    torch.testing.assert_close(fbank(x, preset="torchaudio"), expected, atol=1e-4, rtol=1e-4)


def test_speechbrains_fbank(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    x[:, 20000:30000] *= 1e-5
    window = torch.hamming_window(400)
    power = torch.stft(x, 400, 160, 400, window, pad_mode="constant", return_complex=True).abs().square()
    db = 10 * torch.log10((hertz_triangles(80, symmetric=True) @ power).clamp(min=1e-10))
    db = torch.maximum(db, db.max() - 80)
    assert float(db.min()) == float(db.max()) - 80
    # In dB a difference of the logarithm is 4.34 times as large.
    torch.testing.assert_close(fbank(x, preset="speechbrain"), db - db.mean(2, keepdim=True), atol=8e-3, rtol=0)


def test_the_seeds_mel_spectrogram(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    emphasized = x - 0.97 * torch.cat([x[:, 1:2], x[:, :-1]], dim=1)
    window = torch.hamming_window(400)
    logarithm = torch.log(torch.stft(emphasized, 512, 160, 400, window, return_complex=True).abs() + 1e-9)
    frame, mel = knf.FrameExtractionOptions(), knf.MelBanksOptions()
    mel.num_bins, mel.low_freq, mel.is_librosa = 64, 0.0, True
    filters = torch.from_numpy(knf.MelBanks(mel, frame).get_matrix())
    expected = torch.nn.InstanceNorm1d(64)(filters @ logarithm)
    torch.testing.assert_close(fbank(x, preset="torch_speaker"), expected, atol=2e-3, rtol=0)


def test_equal_to_kaldi_on_real_speech(kaldi, shared):
    paths = sorted(shared.joinpath("data").rglob("*.flac"))[::400][:5]
    assert paths
    for path in paths:
        x, rate = soundfile.read(path, dtype="float32")
        options = {"num_mel_bins": 80, "window": "hamming", "sample_rate": rate}
        ours = fbank(torch.from_numpy(x)[None], preset="kaldi", **options)[0].numpy()
        difference = np.abs(ours - kaldi.kaldi_features("fbank", x, options))
        # Where a band is empty beside a loud one, both stand on the rounding of a float32 transform.
        assert np.quantile(difference, 0.999) < 2e-3
        assert difference.max() < 2e-2
