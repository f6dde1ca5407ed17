"""Saving: what comes back, the same bytes twice, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile

from voxid.audio import io
from voxid.audio.containers import sniff
from voxid.audio.headers import read_claim
from voxid.audio.source import OpenFile
from voxid.errors import AudioError

HOME = Path(io.__file__).parents[2]  # where child processes find the package


@pytest.mark.parametrize(
    ("name", "subtype", "step"), [("a.wav", None, 2**-15), ("a.wav", "PCM_24", 2**-23), ("A.WAV", "FLOAT", 0)]
)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.filterwarnings("ignore:Chunk")  # SciPy does not know PEAK
def test_wav_is_read_by_scipy(voice, tmp_path, name, subtype, step, channels):
    wave = np.stack([voice(0.5, seed=seed) for seed in range(channels)])
    clipped = io.save(tmp_path / name, wave[0] if channels == 1 else wave, 22050, subtype=subtype)
    rate, found = scipy.io.wavfile.read(tmp_path / name)
    scale = {"int16": 2.0**15, "int32": 2.0**31, "float32": 1.0}[found.dtype.name]
    assert (rate, clipped) == (22050, 0)
    np.testing.assert_allclose(np.atleast_2d(found.T / scale), wave, atol=step)


@pytest.mark.parametrize(
    ("name", "step"), [("a.flac", 2**-15), ("a.aiff", 2**-15), ("a.ogg", 0.05), ("a.opus", 0.05), ("a.mp3", 0.05)]
)
def test_every_format_comes_back(voice, tmp_path, name, step):
    wave = np.stack([voice(2.0, 24000), voice(2.0, 24000, seed=1)])
    io.save(str(tmp_path / name), wave, 24000)
    found, rate = soundfile.read(tmp_path / name)
    assert (rate, found.shape) == (24000, (48000, 2))
    assert np.sqrt(np.mean(np.square(found.T - wave))) < step
    assert io.load(tmp_path / name, channel="all", sample_rate=None, strict=True).waveform.shape == wave.shape


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff"])
def test_the_same_input_gives_the_same_bytes(voice, tmp_path, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        io.save(tmp_path / folder / name, voice(1.0), 16000)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_float_wav_carries_no_time(voice, tmp_path):
    io.save(tmp_path / "a.wav", voice(0.2), 16000, subtype="FLOAT")
    data = (tmp_path / "a.wav").read_bytes()
    place = data.find(b"PEAK")
    assert place < 0 or data[place + 12 : place + 16] == bytes(4)
    soundfile.write(tmp_path / "b.wav", voice(0.2), 16000, subtype="FLOAT")
    theirs = (tmp_path / "b.wav").read_bytes()
    assert theirs[theirs.find(b"PEAK") + 12 :][:4] != bytes(4)  # or there would be nothing to take away


def test_an_ogg_stays_a_valid_stream(voice, tmp_path):
    io.save(tmp_path / "a.ogg", voice(25.0), 16000)
    source = OpenFile(tmp_path / "a.ogg")
    assert read_claim(source, sniff(source), None).faults == ()
    source.close()


def test_long_vorbis_does_not_kill_the_process(tmp_path):
    """One write of 300 s overruns the stack of libsndfile 1.2.2; in a process of its own, for it would be the end of this one."""
    code = "import numpy, voxid.audio.io as io; io.save('a.ogg', numpy.full(300 * 16000, .01, numpy.float32), 16000)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(HOME)})
    assert soundfile.info(tmp_path / "a.ogg").frames == 300 * 16000


def test_clipped_samples_are_counted(voice, tmp_path):
    wave = voice(0.5) * 10
    count = int((np.abs(wave) > 1).sum())
    assert count > 100
    assert io.save(tmp_path / "a.wav", wave, 16000) == count
    assert np.abs(io.load(tmp_path / "a.wav").waveform).max() <= 1
    assert io.save(tmp_path / "a.wav", wave, 16000, subtype="float") == 0
    np.testing.assert_array_equal(io.load(tmp_path / "a.wav").waveform, wave)


@pytest.mark.parametrize(
    ("name", "waveform", "rate", "subtype", "code"),
    [
        ("a.wav", np.array([0.0, np.nan]), 16000, None, "E_NONFINITE"),
        ("a.wav", np.array([1e300]), 16000, None, "E_NONFINITE"),
        ("a.wav", np.zeros(0), 16000, None, "E_EMPTY"),
        ("a.wav", np.zeros((1, 2, 3)), 16000, None, "E_SHAPE"),
        ("a.wav", np.zeros(9), 16000.5, None, "E_INPUT"),
        ("a.xyz", np.zeros(9), 16000, None, "E_UNSUPPORTED"),
        ("a", np.zeros(9), 16000, None, "E_UNSUPPORTED"),
        ("a.wav", np.zeros(9), 16000, "VORBIS", "E_UNSUPPORTED"),
        ("a.wav", np.zeros(9), 16000, "nonsense", "E_UNSUPPORTED"),
        ("a.opus", np.zeros(9), 44100, None, "E_UNSUPPORTED"),
        ("a.flac", np.zeros((9, 100)), 16000, None, "E_UNSUPPORTED"),
        ("a.wav", np.zeros(9), 0, None, "E_UNSUPPORTED"),
        ("none/a.wav", np.zeros(9), 16000, None, "E_WRITE"),
    ],
)
def test_refusals_leave_the_old_file(tmp_path, name, waveform, rate, subtype, code):
    if "/" not in name:
        (tmp_path / name).write_bytes(b"old")
    with np.errstate(over="ignore"), pytest.raises(AudioError) as refused:
        io.save(tmp_path / name, waveform, rate, subtype=subtype)
    assert refused.value.code == code
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"old"] if "/" not in name else [])


@pytest.mark.skipif(os.name != "posix", reason="file size limits of POSIX")
def test_a_disk_that_fills_up_leaves_the_old_file(voice, tmp_path):
    """A limit on the size of files stops the write half-way, as a full disk does."""
    io.save(tmp_path / "a.wav", voice(0.5), 16000)
    old = (tmp_path / "a.wav").read_bytes()
    code = """
import resource, signal, numpy
from voxid.audio import io
from voxid.errors import AudioError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    io.save("a.wav", numpy.zeros(160_000, numpy.float32), 16000)
except AudioError as error:
    print(error.code, error)
"""
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith(("E_WRITE", "E_DISK_FULL"))
    assert "a.wav" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == old


def test_a_full_disk_is_named(voice, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AudioError) as refused:
        io.save(tmp_path / "a\n.wav", voice(0.1), 16000)
    assert refused.value.code == "E_DISK_FULL"
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_can_be_replaced_by_what_was_read_from_it(voice, tmp_path):
    io.save(tmp_path / "a.flac", voice(0.5), 16000)
    found = io.load(tmp_path / "a.flac")
    io.save(tmp_path / "a.flac", found.waveform * 0.5, 16000)
    np.testing.assert_allclose(io.load(tmp_path / "a.flac").waveform, found.waveform / 2, atol=2**-15)


@pytest.mark.skipif(os.name != "posix", reason="links and devices of POSIX")
def test_links_are_followed_and_devices_stay(voice, tmp_path):
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to("real.wav")
    io.save(tmp_path / "link.wav", voice(0.1), 16000)
    assert (tmp_path / "link.wav").is_symlink()
    assert io.load(tmp_path / "real.wav").duration == pytest.approx(0.1)
    (tmp_path / "null.wav").symlink_to("/dev/null")
    with pytest.raises(AudioError) as refused:
        io.save(tmp_path / "null.wav", voice(0.1), 16000)
    assert refused.value.code == "E_NOT_FILE"
    assert Path("/dev/null").is_char_device()


BLOCKWISE = [("a.wav", None), ("a.wav", "FLOAT"), ("a.flac", None), ("a.ogg", None), ("a.opus", None)]


@pytest.mark.parametrize(("name", "subtype"), BLOCKWISE)
def test_blocks_give_the_file_of_the_whole(voice, tmp_path, name, subtype):
    wave = np.stack([voice(3.0), 3 * voice(3.0, seed=1)])
    clipped = io.save(tmp_path / name, wave, 16000, subtype=subtype)
    with io.open_writer(tmp_path / f"blocks_{name}", 16000, 2, subtype=subtype) as writer:
        for start in range(0, 48000, 7000):
            writer.write(wave[:, start : start + 7000])
    assert (writer.clipped, writer.seconds) == (clipped, 3.0)
    found, whole = (soundfile.read(tmp_path / file)[0] for file in (f"blocks_{name}", name))
    np.testing.assert_allclose(found, whole, atol=0.01 if name == "a.ogg" else 0)  # Vorbis looks ahead within a block only
    if name != "a.ogg":
        assert (tmp_path / f"blocks_{name}").read_bytes() == (tmp_path / name).read_bytes()


def write_blocks(path, blocks, ending=None):
    with io.open_writer(path, 16000) as writer:
        for block in blocks:
            writer.write(block)
        if ending is not None:
            raise ending


def test_an_error_between_blocks_leaves_the_old_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"old")
    for block, code in ((np.array([np.nan]), "E_NONFINITE"), (np.zeros((2, 9)), "E_SHAPE")):
        with pytest.raises(AudioError) as refused:
            write_blocks(tmp_path / "a.wav", [np.zeros(100_000), block])
        assert refused.value.code == code
    with pytest.raises(KeyboardInterrupt):
        write_blocks(tmp_path / "a.wav", [np.zeros(100_000)], KeyboardInterrupt())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.wav", b"old")]


def test_more_than_a_wav_can_hold_is_refused(tmp_path, monkeypatch):
    """The sizes in the header have 32 bits: what is longer would come back shorter."""
    monkeypatch.setattr("voxid.audio.writer._MOST_BYTES", 50_000)
    with pytest.raises(AudioError, match=r"4 GB.*flac") as refused:
        write_blocks(tmp_path / "a.wav", np.zeros((10, 5000)))
    assert refused.value.code == "E_TOO_LONG"
    assert list(tmp_path.iterdir()) == []
    write_blocks(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, (10, 5000)))
    assert soundfile.info(tmp_path / "a.flac").frames == 50_000
