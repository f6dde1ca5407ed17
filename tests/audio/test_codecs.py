"""Codecs: G.711 against the tables of the standard, walked through; the others by what is left of speech."""

from __future__ import annotations

import bisect
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from voxid import extras
from voxid.audio import codecs, io
from voxid.audio.codecs import CODECS, FFMPEG, alaw, check_codecs, coded, mulaw
from voxid.errors import ConfigError

EVERY = np.arange(-32768, 32768, dtype="<i2")


def steps(widths: list[int]) -> tuple[list[int], list[int]]:
    """Decision values and outputs, in the middle of them, of steps of these widths."""
    bounds = np.cumsum([0, *widths]).tolist()
    return bounds, [(low + high) // 2 for low, high in itertools.pairwise(bounds)]


def by_table(magnitude: int, bounds: list[int], outputs: list[int]) -> int:
    return outputs[min(bisect.bisect_right(bounds, magnitude), len(outputs)) - 1]


def test_mulaw_is_that_of_the_standard() -> None:
    # G.711, table 2, on its scale of 14 bits: one step of 1 at zero, 15 of 2, then 16 each of 4, 8 ... 256.
    bounds, outputs = steps([1, *[2] * 15, *(4 << segment for segment in range(7) for _ in range(16))])
    outputs[0] = 0
    expected = []
    for sample in EVERY.tolist():
        scaled = sample >> 2  # 16 bits to 14, rounded down
        expected.append((-4 if scaled < 0 else 4) * by_table(abs(scaled), bounds, outputs))
    got = mulaw(torch.from_numpy(EVERY / 32768.0)) * 32768
    assert got.to(torch.int64).tolist() == expected


def test_alaw_is_that_of_the_standard() -> None:
    # G.711, table 1, on its scale of 13 bits: 32 steps of 2, then 16 each of 4, 8 ... 128.
    bounds, outputs = steps([*[2] * 32, *(4 << segment for segment in range(6) for _ in range(16))])
    expected = []
    for sample in EVERY.tolist():
        scaled = sample >> 3
        magnitude, sign = (-scaled - 1, -1) if scaled < 0 else (scaled, 1)
        expected.append(8 * sign * by_table(magnitude, bounds, outputs))
    got = alaw(torch.from_numpy(EVERY / 32768.0)) * 32768
    assert got.to(torch.int64).tolist() == expected


def test_g711_is_that_of_the_standard_library() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="audioop left the standard library with Python 3.13")
    for effect, encode, decode in (
        (mulaw, audioop.lin2ulaw, audioop.ulaw2lin),
        (alaw, audioop.lin2alaw, audioop.alaw2lin),
    ):
        expected = np.frombuffer(decode(encode(EVERY.tobytes(), 2), 2), "<i2")
        np.testing.assert_array_equal(effect(torch.from_numpy(EVERY / 32768.0)).numpy() * 32768, expected)


@pytest.mark.parametrize("name", ["mulaw", "alaw"])
def test_companding_keeps_its_distance_at_every_level(name: str) -> None:
    speech = torch.from_numpy(np.random.default_rng(0).laplace(size=(4, 16000)))
    for level in (0.08, 0.02):
        loud = level * speech / speech.std()
        error = coded(loud, name, 16000, torch.zeros(1)) - loud
        assert 30 < 10 * torch.log10(loud.square().mean() / error.square().mean()) < 45
    assert coded(torch.tensor([[3.0, -3.0]]), name, 16000, torch.zeros(1)).abs().max() <= 1


def voices(shared: Path) -> torch.Tensor:
    """Three crops [3, 32000] of real speech."""
    files = sorted((shared / "data" / "libri_mini").rglob("*.opus"))[::80][:3]
    return torch.from_numpy(np.stack([io.load(file, offset=2.0, duration=2.0).waveform for file in files]))


@pytest.mark.parametrize("name", sorted(FFMPEG))
def test_real_codecs_leave_speech_in_its_place(shared: Path, name: str) -> None:
    pytest.importorskip("av")
    speech = voices(shared)
    once, again = (coded(speech, name, 16000, torch.tensor([24.0])) for _ in range(2))
    assert once.shape == speech.shape
    assert torch.equal(once, again)
    assert not torch.allclose(once, speech, atol=1e-3)
    band = np.fft.rfftfreq(32000, 1 / 16000) < (3400 if name == "amr" else 8000)
    for dry, wet in zip(speech.numpy(), once.numpy(), strict=True):
        before, after = np.fft.rfft(dry) * band, np.fft.rfft(wet) * band
        lag = int(np.fft.irfft(after * before.conj()).argmax())
        assert min(lag, 32000 - lag) <= 1
        levels = [np.log(np.fft.irfft(x).reshape(-1, 320).std(axis=1) + 1e-3) for x in (before, after)]
        assert np.corrcoef(*levels)[0, 1] > 0.95
        if name != "amr":  # which keeps the spectrum, not the wave
            assert 10 * np.log10((np.abs(before) ** 2).sum() / (np.abs(before - after) ** 2).sum()) > 6


def test_more_bits_are_nearer_to_the_speech(shared: Path) -> None:
    pytest.importorskip("av")
    speech = voices(shared)[:1].expand(2, -1)
    few, many = (coded(speech, "opus", 16000, torch.tensor([8.0, 48.0])) - speech).square().mean(dim=1)
    assert few > 4 * many


def test_a_codec_works_at_other_rates_and_lengths() -> None:
    pytest.importorskip("av")
    for rate, samples in ((8000, 1), (8000, 4001), (22050, 5000)):
        assert coded(0.1 * torch.randn(2, samples), "mp3", rate, torch.tensor([16.0])).shape == (2, samples)


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mulaw'"):
        check_codecs(["mulow"])
    check_codecs(["mulaw", "alaw"])


def test_a_codec_that_is_not_built_in_is_told(monkeypatch) -> None:
    class Poor:
        codecs_available = frozenset(["libopus"])

    monkeypatch.setattr(extras, "need", lambda module, extra: Poor)
    check_codecs(["opus"])
    with pytest.raises(ConfigError, match="libmp3lame"):
        check_codecs(["mp3"])


def test_every_codec_has_a_name() -> None:
    assert set(CODECS) == {"mulaw", "alaw"} | set(FFMPEG)
    assert codecs.COMPANDERS.keys() == {"mulaw", "alaw"}
