"""voxid.features.spectrogram against torch.stft."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.features.spectrogram import Spectrogram, spectrogram


@pytest.mark.parametrize(("edges", "mode"), [("reflect", "reflect"), ("zero", "constant")])
@pytest.mark.parametrize("n_fft", [400, 401, 512, 1024])
@pytest.mark.parametrize("samples", [1200, 4001])
def test_centred_frames_are_torchs(edges, mode, n_fft, samples):
    x = torch.randn(2, samples)
    ours = spectrogram(x, preset="torchaudio", n_fft=n_fft, edges=edges)
    theirs = torch.stft(x, n_fft, 200, 400, torch.hann_window(400), center=True, pad_mode=mode, return_complex=True)
    torch.testing.assert_close(ours, theirs.abs().square(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("power", [1, 2])
def test_decibels(power):
    x = torch.randn(1, 4000)
    plain = spectrogram(x, preset="torchaudio", power=power).numpy()
    ours = spectrogram(x, preset="torchaudio", power=power, log="db").numpy()
    np.testing.assert_allclose(ours, (10 if power == 2 else 20) * np.log10(plain), atol=1e-3)


@pytest.mark.parametrize("power", [1, 2])
def test_logarithms_to_the_base_of_ten(power):
    x = torch.randn(1, 4000)
    plain = spectrogram(x, preset="torchaudio", power=power).numpy()
    np.testing.assert_allclose(spectrogram(x, preset="torchaudio", power=power, log="log10"), np.log10(plain), atol=1e-3)


def test_top_db_clips_below_the_items_own_maximum():
    x = torch.randn(1, 8000)
    x[:, 4000:] *= 1e-6
    x = torch.cat([x, 100 * torch.randn(1, 8000)])
    out = spectrogram(x, torch.tensor([8000, 8000]), preset="torchaudio", log="db", top_db=40)
    for item in out:
        assert float(item.max() - item.min()) == pytest.approx(40, abs=1e-4)


def test_the_seeds_spectrogram():
    x = 0.1 * torch.randn(2, 16000)
    emphasized = x - 0.97 * torch.cat([x[:, 1:2], x[:, :-1]], dim=1)
    window = torch.hamming_window(400)
    magnitude = torch.stft(emphasized, 512, 160, 400, window, return_complex=True).abs()
    expected = torch.nn.InstanceNorm1d(257)((magnitude + 1e-9).log())
    # The lowest bins are nearly empty after pre-emphasis: there the logarithm stands on the rounding of the transform.
    torch.testing.assert_close(Spectrogram("torch_speaker")(x), expected, atol=2e-2, rtol=0)
