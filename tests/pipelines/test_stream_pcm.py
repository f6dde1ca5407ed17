"""Bare samples through a causal model: as many out as in, and those of the whole recording."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import voxid
from voxid.errors import AudioError, ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import SuDoRMRF
from voxid.pipelines.stream_pcm import Pipe, stream_pcm
from voxid.pipelines.waveform_net import WaveformNet

HOME = Path(voxid.__file__).parents[1]


class Dribble(io.BytesIO):
    """A pipe that gives a few bytes at a time, not always whole samples."""

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(777)


@pytest.fixture(scope="module")
def enhancer() -> Phasen:
    torch.manual_seed(0)
    return Phasen("small", causal=True, channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8).eval()


@pytest.fixture(scope="module")
def separator() -> SuDoRMRF:
    torch.manual_seed(0)
    return SuDoRMRF(
        "0.25x", variant="causal", channels=8, hidden=8, num_basis=32, sample_rate=16000, mixture_consistency=True
    ).eval()


def run(wave: np.ndarray, pcm: str = "f32le", **options) -> tuple[np.ndarray, object]:
    """What comes out [n], or [n, S], and what the function says."""
    kind = np.dtype("<i2" if pcm == "s16le" else "<f4")
    sink = io.BytesIO()
    done = stream_pcm(Dribble(wave.astype(kind).tobytes()), sink, pcm=pcm, **options)
    return np.frombuffer(sink.getvalue(), kind).reshape(-1, done.num_sources).squeeze(1 if done.num_sources == 1 else ()), done


def test_the_samples_are_those_of_the_whole_recording(enhancer, separator, voice) -> None:
    wave = voice(1.7)
    with torch.inference_mode():
        whole = enhancer(torch.from_numpy(wave)[None])[0].numpy()
        parts = separator(torch.from_numpy(wave)[None])[0].numpy()
    out, done = run(wave, model=enhancer)
    np.testing.assert_allclose(out, whole, atol=1e-5)
    assert (done.samples, done.num_sources, done.clipped) == (len(wave), 1, 0)
    np.testing.assert_allclose(run(wave, model=separator, kind="separation")[0].T, parts, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44099, 48000])
@pytest.mark.parametrize("length", [0, 1, 2, 101, 20001])
def test_as_many_samples_out_as_in(enhancer, separator, rate: int, length: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, length)
    assert run(wave, model=enhancer, rate=rate)[0].shape == (length,)
    assert run(wave, "s16le", model=separator, kind="separation", rate=rate)[0].shape == (length, 2)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_another_rate_adds_no_delay(separator, voice, rate: int) -> None:
    """The sources of a net that keeps the mixture add up to it: what comes out is what went in, in its place."""
    wave = voice(2.0, rate)
    found = run(wave, model=separator, kind="separation", rate=rate)[0].sum(axis=1)
    np.testing.assert_allclose(found[rate // 20 : -rate // 20], wave[rate // 20 : -rate // 20], atol=0.01)


def test_16_bits_are_rounded_and_clipped(separator) -> None:
    wave = np.array([0, 1, -1, 32767, -32768, 12345] * 100, np.int16)
    found, done = run(wave, "s16le", model=separator, kind="separation")
    assert np.abs(found.astype(int).sum(axis=1) - wave)[np.abs(found).max(axis=1) < 32767].max() <= 1
    loud = 1.5 * np.ones(4000, np.float32)
    assert run(loud, model=separator, kind="separation")[1].clipped == 0
    assert done.clipped == int((np.abs(run(wave / 2.0**15, model=separator, kind="separation")[0]) > 1).sum())


def test_the_dry_share_comes_at_the_right_time(enhancer, voice) -> None:
    wave = voice(1.0, 48000)
    wet = run(wave, model=enhancer, rate=48000)[0]
    np.testing.assert_allclose(run(wave, model=enhancer, rate=48000, wet=0.0)[0], wave, atol=1e-7)
    np.testing.assert_allclose(run(wave, model=enhancer, rate=48000, wet=0.25)[0], 0.25 * wet + 0.75 * wave, atol=1e-6)
    np.testing.assert_allclose(run(wave, model=enhancer, rate=48000, max_attenuation=20.0)[0], 0.9 * wet + 0.1 * wave, atol=1e-6)


def test_memory_does_not_grow(enhancer) -> None:
    pipe = Pipe(WaveformNet(enhancer, "enhancement"), 48000, share=0.5)
    held = []
    for _ in range(40):
        pipe.push(np.zeros(4800, np.float32))
        held.append(len(pipe._dry))
    assert max(held) < 4800
    assert pipe.heard - pipe.given == held[-1]


def test_mistakes_are_named(enhancer, echo, caplog) -> None:
    for model, says in (
        (Phasen("small", channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8), "causal"),
        (echo(), "no stream"),
    ):
        with pytest.raises(ModelError, match=says) as refused:
            run(np.zeros(10), model=model)
        assert refused.value.code == "E_STREAM"
    with pytest.raises(AudioError, match="sample 3") as bad:
        run(np.array([0, 0, 0, np.nan]), model=enhancer)
    assert bad.value.code == "E_NONFINITE"
    for options in ({"pcm": "s24le"}, {"rate": 0}, {"wet": 2.0}):
        with pytest.raises(ConfigError):
            stream_pcm(io.BytesIO(), io.BytesIO(), model=enhancer, **options)
    sink = io.BytesIO()
    stream_pcm(io.BytesIO(b"\0\0\0"), sink, model=enhancer)
    assert len(sink.getvalue()) == 2
    assert "no whole sample" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_the_shell_gives_samples_while_they_are_arriving(enhancer, voice, tmp_path) -> None:
    checkpoint.save(enhancer, tmp_path / "m.safetensors")
    command = [
        sys.executable,
        "-m",
        "voxid.cli",
        "enhance",
        "--stream",
        "--model",
        str(tmp_path / "m.safetensors"),
        "--pcm",
        "f32le",
    ]
    wave = voice(1.0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HOME) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(wave[:8000].tobytes())
        process.stdin.flush()
        first = process.stdout.read(4 * 7000)  # comes while the rest is still to be said
        process.stdin.write(wave[8000:].tobytes())
        process.stdin.close()
        out = np.frombuffer(first + process.stdout.read(), np.float32)
    assert process.returncode == 0
    with torch.inference_mode():
        np.testing.assert_allclose(out, enhancer(torch.from_numpy(wave)[None])[0].numpy(), atol=1e-5)


def test_a_net_tells_how_many_sources() -> None:
    class Two(torch.nn.Module):
        kind, sample_rate, num_sources = "separation", 16000, 2

        def stream(self) -> object:
            return type("Stream", (), {"push": lambda _, x: torch.stack([x, 0 * x]), "flush": lambda _: torch.zeros(2, 0)})()

        def forward(self, waveform: Tensor) -> Tensor:
            return torch.stack([waveform, 0 * waveform], dim=1)

    out, done = run(np.arange(5.0), model=Two(), kind="separation")
    assert done.num_sources == 2
    np.testing.assert_array_equal(out.T, [np.arange(5.0), np.zeros(5)])


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("bad", ["push", "flush"])
def test_a_net_that_answers_with_nan_is_named(bad: str, rate: int) -> None:
    class Broken(torch.nn.Module):
        kind, sample_rate = "enhancement", 16000

        def stream(self) -> object:
            answers = {name: torch.zeros(3) for name in ("push", "flush")} | {bad: torch.tensor([0.0, torch.nan])}
            return type("Stream", (), {"push": lambda _, x: answers["push"], "flush": lambda _: answers["flush"]})()

        def forward(self, waveform: Tensor) -> Tensor:
            return waveform

    with pytest.raises(ModelError, match="NaN or infinity") as refused:
        run(np.zeros(100), "s16le", model=Broken(), rate=rate)
    assert refused.value.code == "E_NOT_FINITE"


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "E_DISK_FULL"), (errno.EIO, "E_WRITE"), (errno.EPIPE, None)])
def test_a_sink_that_takes_no_more(separator, number: int, code: str | None) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(number, os.strerror(number))

    with pytest.raises(BrokenPipeError if code is None else AudioError) as refused:
        stream_pcm(io.BytesIO(bytes(64000)), Full(), model=separator, kind="separation")
    assert getattr(refused.value, "code", None) == code
