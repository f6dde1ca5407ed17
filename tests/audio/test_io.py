"""load, stream, info and resample, beside soundfile, SciPy and PyAV on their own."""

from __future__ import annotations

import io as memory
import subprocess
import sys

import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
import soundfile

from voxid.audio import io
from voxid.errors import ConfigError


def test_import_brings_no_heavy_library():
    code = "import sys, voxid.audio.io, voxid.pipelines.info; print([m for m in ('torch', 'scipy', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


KINDS = """
WAV:PCM_U8 WAV:PCM_16 WAV:PCM_24 WAV:PCM_32 WAV:FLOAT WAV:DOUBLE WAV:ULAW WAV:ALAW WAV:IMA_ADPCM WAV:MS_ADPCM WAV:GSM610
WAVEX:PCM_16 RF64:PCM_16 W64:PCM_16 CAF:PCM_16 AU:PCM_16 NIST:PCM_16 AIFF:PCM_16 AIFF:FLOAT VOC:PCM_16 PAF:PCM_16 SVX:PCM_16
AVR:PCM_16 PVF:PCM_16 FLAC:PCM_S8 FLAC:PCM_16 FLAC:PCM_24 MP3:MPEG_LAYER_III OGG:VORBIS OGG:OPUS
"""
AV_KINDS = ["ipod:aac", "adts:aac", "webm:libopus", "matroska:flac", "ogg:flac"]


@pytest.mark.parametrize("name", KINDS.split())
@pytest.mark.parametrize("strict", [False, True])
def test_reads_what_soundfile_reads(voice, encode, put, name, strict):
    kind, subtype = name.split(":")
    data = encode(voice(1.3), 16000, kind, subtype)
    expected, rate = soundfile.read(memory.BytesIO(data), dtype="float32")
    for audio in (put(data, "no_suffix"), memory.BytesIO(data)):
        found = io.load(audio, sample_rate=None, strict=strict)
        np.testing.assert_allclose(found.waveform, expected, atol=1e-7 if kind == "MP3" else 0)
        assert (found.rate, found.facts.channels, found.channel, found.warnings) == (rate, 1, 0, ())
        assert found.waveform.dtype == np.float32


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float32", "float64"])
def test_agrees_with_scipy_wavfile(voice, tmp_path, dtype):
    wave = voice(0.5)
    stored = {"u": (wave * 127 + 128), "i": wave * np.iinfo(dtype if dtype[0] == "i" else "int16").max, "f": wave}[dtype[0]]
    scipy.io.wavfile.write(tmp_path / "a.wav", 22050, stored.astype(dtype))
    rate, expected = scipy.io.wavfile.read(tmp_path / "a.wav")
    found = io.load(tmp_path / "a.wav", sample_rate=None)
    pair = io.load((expected, rate), sample_rate=None)
    assert found.rate == pair.rate == 22050
    np.testing.assert_allclose(found.waveform, wave, atol=0.02 if dtype == "uint8" else 1e-4)
    np.testing.assert_array_equal(pair.waveform, found.waveform)


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "file", "memory", "array", "tensor"])
def test_kinds_of_input(voice, encode, put, kind):
    wave = voice(0.4)
    path = put(encode(wave, 16000, "WAV", "FLOAT"))
    torch = pytest.importorskip("torch") if kind == "tensor" else None
    with path.open("rb") as file:
        file.seek(11)
        audio = {
            "path": lambda: path,
            "str": lambda: str(path),
            "bytes": lambda: str(path).encode(),
            "file": lambda: file,
            "memory": lambda: memory.BytesIO(path.read_bytes()),
            "array": lambda: (wave, 16000),
            "tensor": lambda: (torch.from_numpy(wave), 16000.0),
        }[kind]()
        np.testing.assert_array_equal(io.load(audio).waveform, wave)


def test_array_is_not_changed_nor_shared(voice):
    wave = voice(0.2)
    kept = wave.copy()
    io.load((wave, 16000)).waveform[:] = 7
    np.testing.assert_array_equal(wave, kept)


@pytest.mark.parametrize(("rate", "target"), [(48000, 16000), (44100, 16000), (8000, 16000), (22050, 8000), (16000, 48000)])
def test_resample_agrees_with_scipy(voice, rate, target):
    wave = voice(2.0, rate)
    wave = scipy.signal.sosfiltfilt(scipy.signal.butter(8, 3000, fs=rate, output="sos"), wave).astype(np.float32)
    ours = io.resample(wave, rate, target)
    divisor = np.gcd(rate, target)
    theirs = scipy.signal.resample_poly(wave.astype(np.float64), target // divisor, rate // divisor, window=("kaiser", 12.0))
    assert abs(len(ours) - len(theirs)) <= 1
    middle = slice(target // 10, -target // 10)  # the two treat the ends in their own ways
    size = min(len(ours), len(theirs))
    np.testing.assert_allclose(ours[:size][middle], theirs[:size][middle], atol=2e-4)


def test_resample_keeps_channels_apart(voice):
    pair = np.stack([voice(1.0, 8000), voice(1.0, 8000, seed=3)])
    together = io.resample(pair, 8000, 16000)
    for row, wave in zip(together, pair, strict=True):
        np.testing.assert_allclose(row, io.resample(wave, 8000, 16000), atol=1e-7)
    assert io.resample(pair, 8000, 8000).shape == pair.shape


@pytest.mark.parametrize("rate", [0, -1, 1.5, float("nan")])
def test_resample_refuses_rates(rate):
    with pytest.raises(ConfigError, match="whole number of Hz"):
        io.resample(np.zeros(8), rate, 16000)


def test_info_reads_headers_only(voice, encode, put):
    facts = io.info(put(encode(np.stack([voice(2.0)] * 2), 22050, "FLAC"), "x.wav"))
    assert (facts.format, facts.subtype, facts.rate, facts.channels) == ("flac", "pcm_16", 22050, 2)
    assert facts.declared_duration == pytest.approx(2.0 * 16000 / 22050)


def test_info_of_a_cut_file_says_what_the_header_promises(voice, encode, put):
    facts = io.info(put(encode(voice(2.0))[:32044]))
    assert facts.declared_duration == pytest.approx(2.0)


@pytest.mark.parametrize("name", AV_KINDS)
def test_reads_what_pyav_reads(voice, encode_av, put, name):
    av, (muxer, codec) = pytest.importorskip("av"), name.split(":")
    rate = 48000 if codec == "libopus" else 16000
    data = encode_av(voice(1.5, rate), rate, muxer, codec)
    found = io.load(put(data, "x.wav"), sample_rate=None)
    with av.open(memory.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    expected = np.concatenate(frames, axis=1)[0]
    expected = expected / 32768 if expected.dtype == np.int16 else expected
    np.testing.assert_array_equal(found.waveform, expected)
    assert (found.rate, found.warnings, found.duration) == (rate, (), pytest.approx(1.5, abs=0.13))
    part = io.load(put(data, "y.wav"), sample_rate=None, offset=0.5, duration=0.25)
    np.testing.assert_array_equal(part.waveform, expected[rate // 2 : rate // 2 + rate // 4])


def test_reads_stereo_and_phone_notes_by_pyav(voice, encode_av, put):
    pair = np.stack([voice(1.0, 44100), voice(1.0, 44100, seed=5)])
    found = io.load(put(encode_av(pair, 44100, "ipod", "aac")), sample_rate=None, channel="all")
    assert found.waveform.shape[0] == 2
    for ours, original in zip(found.waveform, pair, strict=True):
        assert np.corrcoef(ours[: pair.shape[1]], original)[0, 1] > 0.98
    note = io.load(put(encode_av(voice(1.0, 8000), 8000, "amr", "libopencore_amrnb")))
    assert (note.rate, note.facts.format, note.facts.rate) == (16000, "amr", 8000)
    assert note.duration == pytest.approx(1.0, abs=0.05)
