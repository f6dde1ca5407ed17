"""The promises of every front-end, over every preset."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from voxid import registry
from voxid.features import presets

TABLES = {
    "spectrogram": presets.SPECTROGRAM,
    "fbank": presets.FBANK,
    "mfcc": presets.MFCC,
    "lfcc": presets.LFCC,
    "cqt": presets.CQT,
    "wavelet": presets.WAVELET,
    "multi_resolution": {"voxid": {}, "torch_speaker": {}},
}
CASES: list[dict[str, Any]] = [{"name": name, "preset": preset} for name, table in TABLES.items() for preset in table]
CASES += [
    {"name": "fbank", "edges": edges, "normalize": kind} for edges in ("mirror", "reflect") for kind in ("none", "mean_var")
]
CASES += [{"name": "fbank", "preset": "kaldi", "use_energy": True}, {"name": "mfcc", "edges": "mirror", "htk_compat": True}]
CASES += [
    {"name": "fbank", "normalize": "sliding", "cmn_window": 20},
    {"name": "fbank", "deltas": 2},
    {"name": "fbank", "deltas": 2, "delta_edges": "kaldi", "normalize": "sliding", "cmn_window": 7},
    {"name": "mfcc", "preset": "speechbrain", "deltas": 2},
    {"name": "spectrogram", "deltas": 1, "edges": "reflect"},
    {"name": "cqt", "power": 1, "f_min": 110.0, "num_bins": 30, "frame_shift": 7.3, "deltas": 1},
    {"name": "wavelet", "tree": "dwt", "wavelet": "haar", "mode": "symmetric", "edges": "zero", "level": 3},
    {"name": "multi_resolution", "frame_lengths": [6.25, 64], "edges": "zero", "num_mel_bins": 20},
]
LENGTHS = [8000, 1, 79, 161, 300, 399, 400, 401, 560, 4321]
frontends = pytest.mark.parametrize("spec", CASES, ids=lambda spec: "-".join(map(str, spec.values())))


def test_every_frontend_is_here():
    assert set(registry.names("frontend")) == set(TABLES) | {"precomputed"}  # it takes no waveforms: test_precomputed.py


@frontends
def test_a_padded_batch_gives_each_item_what_it_gets_alone(spec):
    frontend = registry.build("frontend", spec)
    x = 0.1 * torch.randn(len(LENGTHS), max(LENGTHS), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor(LENGTHS)
    batch = frontend(x, lengths)
    frames = frontend.num_frames(lengths)
    assert batch.shape[:2] == (len(LENGTHS), frontend.num_bins)
    assert batch.shape[2] == int(frames[0])
    for row, length in enumerate(LENGTHS):
        alone = frontend(x[row : row + 1, :length])[0]
        assert alone.shape[1] == int(frames[row]) >= 1
        # A decibel is 4.3 times finer than a natural logarithm, and a lifter up to 12 times.
        torch.testing.assert_close(batch[row, :, : frames[row]], alone, atol=1e-3, rtol=1e-4)
        assert not batch[row, :, frames[row] :].any()


@frontends
@pytest.mark.parametrize("padded", [True, False])
def test_finite_values_and_gradients(spec, padded):
    frontend = registry.build("frontend", spec)
    noise = torch.randn(1, 8000).sign()
    inputs = [torch.zeros(1, 8000), torch.zeros(1, 1), torch.ones(1, 1), noise, 1e-9 * noise, torch.full((1, 8000), 0.5)]
    for x in inputs:
        leaf = x.clone().requires_grad_()
        out = frontend(leaf, torch.tensor([max(1, x.shape[1] // 3)]) if padded else None)
        out.square().sum().backward()
        assert torch.isfinite(out).all()
        assert torch.isfinite(leaf.grad).all()


@frontends
def test_gradients_reach_every_sample_of_an_item_and_none_of_its_padding(spec):
    frontend = registry.build("frontend", spec)
    leaf = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = frontend(leaf, torch.tensor([1200]))
    (out * torch.randn(out.shape)).sum().backward()
    assert leaf.grad is not None
    # The tail that fills no whole frame stays outside where edges are snipped; periodic windows begin with a zero.
    assert (leaf.grad[0, 1:1040] != 0).all()
    assert not leaf.grad[0, 1200:].any()


@frontends
def test_float32_whatever_surrounds_it(spec):
    frontend = registry.build("frontend", spec)
    x = 0.1 * torch.randn(2, 4000)
    expected = frontend(x)
    assert expected.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(frontend(x), expected, atol=0, rtol=0)
    torch.testing.assert_close(frontend.bfloat16()(x), expected, atol=0, rtol=0)
    assert frontend(x.double()).dtype == torch.float32
    assert frontend.state_dict() == {}


@pytest.mark.gpu
@frontends
def test_on_a_gpu(spec):
    frontend = registry.build("frontend", spec)
    x, lengths = 0.1 * torch.randn(3, 16000), torch.tensor([16000, 300, 9000])
    expected = frontend(x, lengths)
    ours = frontend.cuda()(x.cuda(), lengths.cuda())
    torch.testing.assert_close(ours.cpu(), expected, atol=5e-3, rtol=1e-3)
