"""voxid.features.stft against scipy's windows and transform and numpy's padding."""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.errors import ModelError
from voxid.features import stft
from voxid.features.fbank import Fbank
from voxid.features.options import CHOICES
from voxid.features.spectrogram import Spectrogram


@pytest.mark.parametrize(
    ("name", "theirs"), [("hamming", "hamming"), ("hann", "hann"), ("blackman", "blackman"), ("rectangular", "boxcar")]
)
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_scipys(name, theirs, periodic):
    expected = scipy.signal.get_window(theirs, 400, fftbins=periodic)
    np.testing.assert_allclose(stft.window(name, 400, periodic), expected, atol=1e-12)


@pytest.mark.parametrize("name", [str(name) for name in CHOICES["window"] if name != "hann"])
def test_windows_are_kaldis(name):
    options = knf.FrameExtractionOptions()
    options.window_type = name
    expected = knf.FeatureWindowFunction(options).apply([1.0] * 400)
    np.testing.assert_allclose(stft.window(name, 400), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 30), extra=st.integers(0, 9), before=st.integers(0, 20), after=st.integers(1, 20))
@pytest.mark.parametrize(("edges", "mode"), [("mirror", "symmetric"), ("reflect", "reflect"), ("zero", "constant")])
def test_padding_is_numpys_at_each_items_own_end(length, extra, before, after, edges, mode):
    x = np.random.default_rng(length).standard_normal((2, length + extra)).astype(np.float32)
    lengths = torch.tensor([length, length + extra])
    padded = stft.pad_items(torch.from_numpy(x), lengths, before, after, edges).numpy()
    for row, size in zip((0, 1), lengths.tolist(), strict=True):
        np.testing.assert_array_equal(padded[row, : before + size + after], np.pad(x[row, :size], (before, after), mode))


def test_spectrum_is_scipys():
    x = np.random.default_rng(0).standard_normal(4000)
    frontend = Spectrogram("torchaudio", frame_shift=10.0, n_fft=512, edges="snip")
    window = scipy.signal.get_window("hann", 400)
    frames = np.stack([x[i * 160 : i * 160 + 400] * window for i in range(23)])
    expected = np.abs(scipy.fft.rfft(frames, 512)) ** 2
    np.testing.assert_allclose(frontend(torch.from_numpy(x)[None])[0].T, expected, rtol=1e-4, atol=1e-4)


def test_preemphasis_as_a_filter_is_scipys():
    x = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    options = {"edges": "snip", "frame_shift": 10.0}
    filtered = scipy.signal.lfilter([1, -0.97], [1], x.astype(np.float64)).astype(np.float32)
    ours = Spectrogram("torchaudio", preemphasis=0.97, preemphasis_on="filter", **options)(torch.from_numpy(x)[None])
    expected = Spectrogram("torchaudio", **options)(torch.from_numpy(filtered)[None])
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("edges", ["snip", "mirror", "reflect", "zero"])
@pytest.mark.parametrize("padded", [True, False])
def test_the_size_of_the_pieces_does_not_show(monkeypatch, edges, padded):
    x = torch.randn(3, 8000)
    lengths = torch.tensor([8000, 4000, 300]) if padded else None
    frontend = Fbank(edges=edges)
    whole = frontend(x, lengths)
    for size in (1, 7, 60):
        monkeypatch.setattr(stft, "CHUNK_CPU", size)
        torch.testing.assert_close(frontend(x, lengths), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "x", [torch.zeros(400), torch.zeros(1, 1, 400), torch.zeros(1, 0), torch.zeros(0, 9), torch.zeros(1, 400, dtype=torch.int16)]
)
def test_a_wrong_waveform_is_named(x):
    with pytest.raises(ModelError, match=r"expected a float waveform \[B, T\]") as error:
        Fbank()(x)
    assert error.value.code == "E_SHAPE"


def test_constants_are_in_no_checkpoint_and_are_never_rounded_or_lost():
    x = torch.randn(1, 8000)
    frontend = Fbank()
    expected = frontend(x)
    assert frontend.state_dict() == {}
    torch.testing.assert_close(frontend.half()(x), expected, atol=0, rtol=0)
    torch.testing.assert_close(frontend.to("meta").to_empty(device="cpu")(x), expected, atol=0, rtol=0)
    with torch.device("meta"):
        frontend = Fbank()
    torch.testing.assert_close(frontend.to_empty(device="cpu")(x), expected, atol=0, rtol=0)


def test_dither_is_noise_of_its_size_and_only_in_training():
    x = torch.zeros(1, 160000)
    options = {"dither": 3.0, "remove_dc": False, "preemphasis": 0.0, "log": None, "normalize": None, "window": "rectangular"}
    frontend = Spectrogram(**options)
    assert not frontend.eval()(x).any()
    torch.manual_seed(0)
    # Parseval: the mean power of white noise is its variance times the frame's samples.
    assert float(frontend.train()(x).mean()) == pytest.approx(9.0 * 400, rel=0.02)
