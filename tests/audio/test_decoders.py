"""Decoders: PyAV on a leash, and what libsndfile cannot say."""

from __future__ import annotations

import io as memory
import sys

import numpy as np
import pytest

from voxid.audio import io
from voxid.audio.containers import Container, sniff
from voxid.audio.decoders import AvDecoder, open_decoder
from voxid.audio.source import OpenFile
from voxid.errors import AudioError


def test_without_pyav_the_message_says_how(voice, encode_av, put, monkeypatch):
    path = put(encode_av(voice(0.5), 16000, "ipod", "aac"), "note\n.m4a")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"pip install 'voxid\[audio\]'.*ffmpeg -i .*note\\n\.m4a.* out\.wav") as refused:
        io.load(path)
    assert refused.value.code == "E_EXTRA"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("demuxer", ["hls", "concat", "mov", "matroska"])
def test_nothing_but_the_file_is_opened(voice, encode, put, demuxer):
    """A playlist that names a good file beside it: even with its own demuxer nothing of it is heard."""
    pytest.importorskip("av")
    song = put(encode(voice(1.0)), "song.wav")
    texts = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{song}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile 'file://{song}'\n",
    }
    source = OpenFile(memory.BytesIO(texts.get(demuxer, texts["hls"]).encode()))
    with pytest.raises(AudioError):
        AvDecoder(source, Container("playlist", demuxer=demuxer))


def test_a_video_without_sound(encode_av):
    av = pytest.importorskip("av")
    target = memory.BytesIO()
    target.name = "x"
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match="no audio stream") as refused:
        io.load(memory.BytesIO(target.getvalue()))
    assert refused.value.code == "E_NOT_AUDIO"


@pytest.mark.parametrize(
    ("muxer", "codec", "rate"),
    [("ipod", "aac", 16000), ("adts", "aac", 16000), ("webm", "libopus", 48000), ("amr", "libopencore_amrnb", 8000)],
)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.97])
def test_what_is_cut_off_under_pyav(voice, encode_av, muxer, codec, rate, part):
    data = encode_av(voice(3.0, rate), rate, muxer, codec)
    audio = memory.BytesIO(data[: round(len(data) * part)])
    if muxer == "ipod" or (part < 0.1 and muxer != "amr"):  # the one has its index last; of the others no frame is whole
        with pytest.raises(AudioError) as refused:
            io.load(audio)
        assert refused.value.code in ("E_TRUNCATED", "E_EMPTY", "E_NOT_AUDIO", "E_CORRUPT")
    else:
        found = io.load(audio)
        assert 0 < found.duration < 3.1 * part + 0.2
        assert np.isfinite(found.waveform).all()


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize(
    ("muxer", "codec", "kind"), [("ipod", "aac", "fltp"), ("mov", "pcm_s16le", "s16"), ("mov", "pcm_f64le", "dbl")]
)
def test_many_channels_keep_their_order(voice, muxer, codec, kind, channels):
    """With eight planes PyAV's own conversion reads beyond them."""
    av = pytest.importorskip("av")
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    planes = np.stack([voice(1.0, 16000, seed) / (1 + seed) for seed in range(channels)])
    target = memory.BytesIO()
    target.name = "x"
    with av.open(target, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=16000, layout=layout)
        resampler = av.AudioResampler(format=kind, layout=layout, rate=16000, frame_size=1024)
        packed = np.ascontiguousarray(planes.T.reshape(1, -1), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = 16000, 0
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                container.mux(packet)
    found = io.load(memory.BytesIO(target.getvalue()), channel="all")
    assert len(found.waveform) == channels
    heard = [number for number in range(channels) if codec != "aac" or number != 3]  # the fourth of AAC holds only bass
    for plane, waveform in zip(planes[heard], found.waveform[heard], strict=True):
        assert np.std(waveform[: len(plane)] - plane) < 0.15 * np.std(plane)


def test_a_codec_that_libsndfile_does_not_read(voice, encode):
    data = bytearray(encode(voice(0.5)))
    data[20:22] = b"\x61\x01"  # Windows Media Audio in WAV
    with pytest.raises(AudioError) as refused:
        io.load(memory.BytesIO(bytes(data)))
    assert refused.value.code in ("E_UNSUPPORTED", "E_HEADER")


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", None), ("MP3", None), ("OGG", "OPUS"), ("WAV", "GSM610"), ("AIFF", None)])
def test_blocks_of_any_size_are_the_same_samples(voice, encode, kind, subtype):
    def decode(size):
        source = OpenFile(memory.BytesIO(encode(voice(1.0), 16000, kind, subtype)))
        decoder = open_decoder(source, sniff(source))
        parts = []
        while len(part := decoder.read(size)):
            parts.append(part)
        decoder.close()
        return np.concatenate(parts)

    whole = decode(1 << 20)
    for size in (1000, 160, 7919):
        np.testing.assert_allclose(decode(size), whole, atol=1e-7)


def test_garbage_in_an_mp3_keeps_what_precedes_it(voice, encode):
    data = encode(voice(4.0), 16000, "MP3")
    whole = io.load(memory.BytesIO(data)).waveform
    middle = len(data) // 2
    junk = np.random.default_rng(0).integers(0, 128, 5000).astype(np.uint8).tobytes()
    found = io.load(memory.BytesIO(data[:middle] + junk + data[middle:]))
    assert any(warning.startswith("W_CORRUPT") for warning in found.warnings)
    assert found.duration > 1.5
    sure = round(1.5 * 16000)
    np.testing.assert_allclose(found.waveform[:sure], whole[:sure], atol=1e-6)
