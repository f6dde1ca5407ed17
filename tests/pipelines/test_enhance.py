"""enhance: any rate, any length, any channels; what users of other tools complain about must not happen here."""

from __future__ import annotations

import io as memory
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

import voxid
from voxid.audio import io
from voxid.audio.snr import snr
from voxid.errors import AudioError, ConfigError, ModelError
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import SuDoRMRF

HOME = Path(voxid.__file__).parents[1]
TINY = {"channels": 4, "phase_channels": 2, "blocks": 1, "recurrent": 8, "dense": 8}


@pytest.fixture(scope="module")
def net() -> Phasen:
    torch.manual_seed(0)
    return Phasen("small", **TINY).eval()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 44099, 48000])
@pytest.mark.parametrize("length", [1, 2, 3, 100, 4411, 40001])
def test_rate_and_length_stay(echo, rate: int, length: int) -> None:
    done = voxid.enhance(
        (np.random.default_rng(0).normal(0, 0.1, length).astype(np.float32), rate), model=echo(), window=1.0, overlap=0.1
    )
    assert done.waveform.shape == (length,)
    assert done.waveform.dtype == np.float32
    assert (done.rate, done.seconds, done.channels) == (rate, length / rate, 1)
    assert np.isfinite(done.waveform).all()


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 44099, 48000])
def test_no_delay_and_no_tail_cut_off(echo, voice, rate: int) -> None:
    """Sound right up to the last sample comes back in its place, from the one window and from many."""
    wave = voice(5.3, rate)
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(8, 3000, fs=rate, output="sos"), wave).astype(np.float32)
    for window in (10.0, 1.0):
        out = voxid.enhance((low, rate), model=echo(), window=window, overlap=window * 0.08).waveform
        error = np.abs(out - low)
        assert error.max() < 0.05  # at the very end: a step down to nothing is no sound under 8 kHz
        assert error[rate // 20 : -rate // 20].max() < 2e-3
        assert np.abs(out[-rate // 20 :]).max() > 0.5 * np.abs(low[-rate // 20 :]).max()


def test_at_the_models_rate_nothing_changes_at_all(echo, voice) -> None:
    wave = voice(12.345)
    np.testing.assert_allclose(voxid.enhance((wave, 16000), model=echo()).waveform, wave, atol=1e-7)


def test_what_fits_into_a_window_is_heard_whole(echo, net, voice) -> None:
    wave = voice(9.99)
    with torch.inference_mode():
        whole = net(torch.from_numpy(wave)[None])[0].numpy()
    np.testing.assert_array_equal(voxid.enhance((wave, 16000), model=net).waveform, whole)
    model = echo()
    voxid.enhance((voice(10.5), 16000), model=model)
    voxid.enhance((voice(31.0), 16000), model=model)
    assert min(model.lengths) >= 80000
    assert max(model.lengths) <= 160000


@pytest.mark.parametrize("rate", [16000, 48000])
def test_no_click_where_windows_meet(net, voice, rate: int) -> None:
    """Steps at the borders are no larger than steps elsewhere, and the level is that of the whole recording heard at once."""
    wave = voice(12.0, rate)
    out = voxid.enhance((wave, rate), model=net, window=2.0, overlap=0.16).waveform
    whole = voxid.enhance((wave, rate), model=net, window=20.0).waveform
    jumps = np.abs(np.diff(out, 2))
    borders = [round(start * 1.84 * rate) for start in range(1, 6)]
    near = np.concatenate([jumps[border - 20 : border + round(0.16 * rate) + 20] for border in borders])
    assert near.max() <= np.abs(np.diff(whole, 2)).max() * 1.2
    assert np.std(out) == pytest.approx(np.std(whole), rel=0.2)


def test_a_net_that_changes_its_level_from_window_to_window_makes_no_click(echo) -> None:
    class Moody(echo):
        def forward(self, waveform):
            return super().forward(waveform) * (0.5 if len(self.lengths) % 2 else 1.0)

    tone = np.cos(2 * np.pi * 440 * np.arange(12 * 16000) / 16000).astype(np.float32)
    steps = {
        overlap: np.abs(np.diff(voxid.enhance((tone, 16000), model=Moody(), window=2.0, overlap=overlap).waveform)).max()
        for overlap in (0.16, 0.0)
    }
    assert steps[0.16] <= np.abs(np.diff(tone)).max() * 1.01
    assert steps[0.0] > np.abs(np.diff(tone)).max() * 1.5  # the same without a cross-fade: this is what is looked for


def test_wet_is_the_share_of_the_enhanced(echo, voice) -> None:
    wave = voice(1.0)
    for wet, gain in ((1.0, 0.5), (0.0, 1.0), (0.25, 0.875)):
        np.testing.assert_allclose(voxid.enhance((wave, 16000), model=echo(0.5), wet=wet).waveform, gain * wave, atol=1e-6)


def test_nothing_gets_softer_than_max_attenuation(echo, voice) -> None:
    wave = voice(1.0)
    for decibels in (0.0, 6.0, 20.0, 100.0):
        out = voxid.enhance((wave, 16000), model=echo(0.0), max_attenuation=decibels).waveform
        np.testing.assert_allclose(out, 10 ** (-decibels / 20) * wave, atol=1e-6)


def test_the_dry_share_keeps_its_band(echo) -> None:
    """A 16 kHz net cannot hear 12 kHz: the enhanced lacks it, and says so; the dry share has it."""
    tone = (0.5 * np.sin(2 * np.pi * 12000 * np.arange(48000) / 48000)).astype(np.float32)
    done = voxid.enhance((tone, 48000), model=echo())
    assert np.abs(done.waveform[480:-480]).max() < 1e-3
    assert any(warning.startswith("W_BAND") for warning in done.warnings)
    half = voxid.enhance((tone, 48000), model=echo(), wet=0.5)
    np.testing.assert_allclose(half.waveform[480:-480], tone[480:-480] / 2, atol=1e-3)


def test_only_windows_below_an_snr_are_enhanced(echo, voice) -> None:
    rng = np.random.default_rng(0)
    clean, noisy = voice(10.0), voice(10.0) + rng.normal(0, 0.2, 160000).astype(np.float32)
    assert snr(clean, 16000) > 20 > snr(noisy, 16000)
    left = voxid.enhance((clean, 16000), model=echo(0.0), below_snr=20.0)
    assert (left.applied, left.share) == (False, 0.0)
    np.testing.assert_array_equal(left.waveform, clean)
    taken = voxid.enhance((noisy, 16000), model=echo(0.0), below_snr=20.0)
    assert (taken.applied, taken.share) == (True, 1.0)
    assert not taken.waveform.any()
    both = voxid.enhance((np.concatenate([clean, noisy]), 16000), model=echo(0.0), below_snr=20.0, window=5.0, overlap=0.4)
    assert 0 < both.share < 1
    np.testing.assert_array_equal(both.waveform[:64000], clean[:64000])
    assert not both.waveform[-64000:].any()
    assert "left as it is" in left.describe()


def test_each_channel_is_heard_by_itself(echo, net, voice) -> None:
    """Not 14 s out of 4 s, and no channel in another."""
    wave = np.stack([voice(4.0, 44100), voice(4.0, 44100, seed=3)])
    done = voxid.enhance((wave, 44100), model=net)
    assert done.waveform.shape == wave.shape
    for row, alone in zip(done.waveform, wave, strict=True):
        np.testing.assert_allclose(row, voxid.enhance((alone, 44100), model=net).waveform, atol=1e-6)
    first = voxid.enhance((wave, 44100), model=echo(), channel="first")
    assert first.waveform.shape == (4 * 44100,)
    assert any(warning.startswith("W_CHANNELS") for warning in first.warnings)
    same = {"model": echo(sample_rate=44100)}
    np.testing.assert_allclose(voxid.enhance((wave, 44100), channel="mix", **same).waveform, wave.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(voxid.enhance((wave, 44100), channel=1, **same).waveform, wave[1], atol=1e-6)


def test_the_level_stays_whatever_it_is(net, voice) -> None:
    wave = voice(3.0)
    loud = voxid.enhance((wave, 16000), model=net).waveform
    for gain in (1e-3, 100.0):
        np.testing.assert_allclose(
            voxid.enhance((gain * wave, 16000), model=net).waveform, gain * loud, rtol=1e-3, atol=1e-5 * gain
        )


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_silence_is_silence_and_nothing_is_nan(net, rate: int) -> None:
    wave = np.zeros(25 * rate, np.float32)
    assert not voxid.enhance((wave, rate), model=net).waveform.any()
    wave[12 * rate : 13 * rate] = 1.0  # clipped, and silence around
    out = voxid.enhance((wave, rate), model=net).waveform
    assert np.isfinite(out).all()
    assert not out[-rate:].any()


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")]
)
def test_files_are_read_and_written(echo, voice, tmp_path, name: str, subtype: str) -> None:
    wave = np.stack([voice(11.0, 24000), voice(11.0, 24000, seed=1)])
    soundfile.write(tmp_path / "in.wav", wave.T, 24000, subtype="PCM_24")
    done = voxid.enhance(tmp_path / "in.wav", output=tmp_path / name, model=echo(sample_rate=24000), subtype=subtype)
    found, rate = soundfile.read(tmp_path / name)
    assert (rate, found.shape, soundfile.info(tmp_path / name).subtype) == (24000, (264000, 2), subtype)
    np.testing.assert_allclose(found.T, wave, atol=2**-15)
    assert (done.output, done.waveform, done.clipped) == (str(tmp_path / name), None, 0)


def test_what_a_file_cannot_hold_is_clipped_and_counted(echo, voice, tmp_path) -> None:
    wave = voice(1.0)
    done = voxid.enhance((wave, 16000), output=tmp_path / "a.wav", model=echo(10.0))
    assert done.clipped == int((np.abs(10 * wave) > 1).sum()) > 0
    assert "clipped" in done.describe()
    assert voxid.enhance((wave, 16000), output=tmp_path / "b.wav", model=echo(10.0), subtype="FLOAT").clipped == 0
    np.testing.assert_allclose(soundfile.read(tmp_path / "b.wav")[0], 10 * wave, rtol=1e-6)


def test_file_objects_and_other_formats(echo, voice, tmp_path) -> None:
    io.save(tmp_path / "a.opus", voice(2.0, 48000), 48000)
    done = voxid.enhance(memory.BytesIO((tmp_path / "a.opus").read_bytes()), model=echo(sample_rate=48000))
    np.testing.assert_allclose(done.waveform, io.load(tmp_path / "a.opus", sample_rate=None).waveform, atol=1e-6)


@pytest.mark.parametrize("output", ["a.wav", "sub/../a.wav", "link.wav"])
def test_a_recording_is_never_overwritten(echo, voice, tmp_path, output: str) -> None:
    (tmp_path / "sub").mkdir()
    io.save(tmp_path / "a.wav", voice(1.0), 16000)
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    before, model = (tmp_path / "a.wav").read_bytes(), echo(0.5)
    with pytest.raises(ConfigError, match="overwrite the recording"):
        voxid.enhance(tmp_path / "a.wav", output=tmp_path / output, model=model)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert model.lengths == []


def test_a_name_with_a_line_end_is_told_on_one_line(echo, voice, tmp_path) -> None:
    done = voxid.enhance((voice(1.0), 16000), output=tmp_path / "a\nb.wav", model=echo())
    assert "a\\nb.wav" in done.describe()
    assert len(done.describe().splitlines()) == 1


def test_a_name_that_is_too_long_is_an_error_of_audio(echo, voice, tmp_path) -> None:
    with pytest.raises(AudioError) as refused:
        voxid.enhance((voice(1.0), 16000), output=tmp_path / f"{'a' * 253}.wav", model=echo())
    assert refused.value.code == "E_WRITE"


def test_memory_does_not_grow_with_the_length(echo, tmp_path) -> None:
    """Ten minutes are 38 MB as floats; what is held at once is a few blocks and windows."""
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 16000, 1) as file:
        for second in range(600):
            file.write(np.random.default_rng(second).normal(0, 0.1, 16000))
    model = echo()
    voxid.enhance((np.ones(1600), 16000), model=model)
    tracemalloc.start()
    done = voxid.enhance(tmp_path / "long.flac", output=tmp_path / "out.wav", model=model, window=2.0, overlap=0.16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (done.seconds, soundfile.info(tmp_path / "out.wav").frames) == (600.0, 9_600_000)
    assert peak < 16e6


def test_an_error_leaves_the_old_file(echo, voice, tmp_path) -> None:
    (tmp_path / "out.wav").write_bytes(b"old")

    class Broken(echo):
        def forward(self, waveform):
            return super().forward(waveform) * (float("nan") if len(self.lengths) else 1.0)

    with pytest.raises(ModelError, match="NaN"):
        voxid.enhance((voice(25.0), 16000), output=tmp_path / "out.wav", model=Broken())
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan] * 400_000), 16000, subtype="FLOAT")
    with pytest.raises(AudioError):
        voxid.enhance(tmp_path / "nan.wav", output=tmp_path / "out.wav", model=echo())
    assert (tmp_path / "out.wav").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nan.wav", "out.wav"]


@pytest.mark.skipif(os.name != "posix", reason="file size limits of POSIX")
def test_a_full_disk_leaves_nothing(tmp_path) -> None:
    """A limit on the size of files stops the writer half-way, as a full disk does."""
    code = """
import resource, signal, numpy, voxid
from voxid.errors import AudioError
import torch
class Echo(torch.nn.Module):
    kind, sample_rate = "enhancement", 16000
    def forward(self, x): return x
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    voxid.enhance((numpy.ones(800_000, numpy.float32) / 2, 16000), output="a.wav", model=Echo())
except AudioError as error:
    print(error.code)
"""
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() in ("E_WRITE", "E_DISK_FULL")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wet": 1.1}, "wet"),
        ({"wet": float("nan")}, "wet"),
        ({"max_attenuation": -1.0}, "max_attenuation"),
        ({"below_snr": float("inf")}, "below_snr"),
        ({"window": 0.0}, "window"),
        ({"overlap": 6.0}, "overlap"),
        ({"channel": "left"}, "channel"),
    ],
)
def test_values_out_of_their_range(echo, options, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        voxid.enhance((np.zeros(100), 16000), model=echo(), **options)


def test_a_suffix_that_cannot_be_written_is_refused_before_any_work(echo, tmp_path) -> None:
    with pytest.raises(AudioError, match="accepted") as refused:
        voxid.enhance(tmp_path / "none.wav", output=tmp_path / "a.m4a", model=echo())
    assert refused.value.code == "E_UNSUPPORTED"
    with pytest.raises(AudioError, match=r"no codec PCM_99; accepted: .*PCM_24"):
        voxid.enhance(tmp_path / "none.wav", output=tmp_path / "a.wav", model=echo(), subtype="PCM_99")


def test_a_model_of_another_kind_is_refused_and_a_loaded_one_keeps_its_mode(net) -> None:
    with pytest.raises(ModelError, match=r"separation model .*; expected an enhancement model"):
        voxid.enhance((np.zeros(100), 16000), model=SuDoRMRF("0.25x", channels=16, hidden=16))
    training = Phasen("small", **TINY).train()
    voxid.enhance((np.ones(100), 16000), model=training)
    assert training.training
    assert training.blocks[0].training
    voxid.enhance((np.ones(100), 16000), model=net)
    assert not net.training
