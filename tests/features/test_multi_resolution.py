"""voxid.features.multi_resolution against filter banks built one by one."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.features.fbank import Fbank
from voxid.features.multi_resolution import MultiResolution


@pytest.mark.parametrize("edges", ["mirror", "reflect", "zero"])
def test_it_is_separate_filter_banks(edges):
    x, lengths = torch.randn(3, 8000), torch.tensor([8000, 5000, 90])
    options = {"edges": edges, "num_mel_bins": 30, "deltas": 1}
    ours = MultiResolution(frame_lengths=[10, 25, 64], **options)(x, lengths)
    parts = [Fbank(frame_length=length, n_fft=1024, **options)(x, lengths) for length in (10, 25, 64)]
    torch.testing.assert_close(ours, torch.cat(parts, dim=1), atol=0, rtol=0)


def test_all_windows_look_at_the_same_instant():
    x = torch.zeros(1, 16000)
    x[0, 8080] = 1.0
    rows = MultiResolution(frame_lengths=[12.5, 25, 64], num_mel_bins=20, log=None, normalize=None)(x)[0]
    centres = [(part.sum(dim=0) * torch.arange(rows.shape[1])).sum() / part.sum() for part in rows.split(20)]
    assert [round(float(centre), 1) for centre in centres] == [50.0] * 3


def test_the_seeds_windows(kaldi):
    x = torch.from_numpy(kaldi.example())[None]
    ours = registry.build(
        "frontend",
        {"name": "multi_resolution", "preset": "torch_speaker", "frame_lengths": [6.25, 12.5, 25, 50, 64], "n_fft": 1024},
    )
    assert ours.num_bins == 320
    emphasized = x - 0.97 * torch.cat([x[:, 1:2], x[:, :-1]], dim=1)
    filters = torch.cat([block_rows(block, 513) for block in Fbank("torch_speaker", n_fft=1024).blocks])
    parts = []
    for samples in (100, 200, 400, 800, 1024):
        window = torch.hamming_window(samples)
        spectrum = torch.stft(emphasized, 1024, 160, samples, window, return_complex=True)
        parts.append(torch.nn.functional.instance_norm(filters @ (spectrum.abs() + 1e-9).log()))
    torch.testing.assert_close(ours(x), torch.cat(parts, dim=1), atol=2e-2, rtol=0)


def block_rows(block, bins: int) -> torch.Tensor:
    rows = torch.zeros(len(block.weights.value), bins)
    rows[:, block.band] = block.weights.value
    return rows


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frame_lengths": []}, "at least one window length"),
        ({"frame_length": 25}, "takes frame_lengths"),
        ({"edges": "snip"}, "its own number of frames; take mirror"),
        ({"num_mel_bin": 40}, "did you mean 'num_mel_bins'"),
        ({"preset": "kald"}, "did you mean 'kaldi'"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        MultiResolution(**options)
    assert words in str(error.value)
