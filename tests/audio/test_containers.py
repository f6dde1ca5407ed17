"""Containers go by their first bytes."""

from __future__ import annotations

import io as memory

import pytest
import soundfile

from voxid.audio import io
from voxid.audio.containers import sniff
from voxid.audio.source import OpenFile
from voxid.errors import AudioError


def name_of(data: bytes) -> str:
    return sniff(OpenFile(memory.BytesIO(data))).name


def id3(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


NAMES = {"WAVEX": "wav", "RF64": "wav", "NIST": "sph"}
KINDS = ["WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU", "NIST", "W64", "CAF", "VOC", "PAF", "SVX", "AVR", "PVF"]
AV_KINDS = """
ipod aac 16000 mp4 | mov pcm_s16le 16000 mp4 | 3gp aac 16000 mp4 | adts aac 16000 aac | webm libopus 48000 webm
matroska flac 16000 webm | ogg flac 16000 oggflac | amr libopencore_amrnb 8000 amr | ogg libopus 48000 ogg
"""


@pytest.mark.parametrize(("kind", "name"), [(kind, NAMES.get(kind, kind.lower())) for kind in KINDS])
def test_what_soundfile_writes(voice, encode, kind, name):
    assert name_of(encode(voice(0.2), 16000, kind)) == name


@pytest.mark.parametrize("line", AV_KINDS.strip().replace("\n", " | ").split(" | "))
def test_what_ffmpeg_writes(voice, encode_av, line):
    muxer, codec, rate, name = line.split()
    data = encode_av(voice(0.5, int(rate)), int(rate), muxer, codec)
    assert name_of(data) == name
    assert io.load(memory.BytesIO(data)).duration == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_mpeg_version_has_a_sync_word(voice, encode, rate, channels):
    data = encode([voice(0.5, rate)] * channels, rate, "MP3")
    assert name_of(data) == "mp3"


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_tags_in_front_are_stepped_over(voice, encode, size):
    plain = encode(voice(0.5), 16000, "MP3")
    tagged = id3(size) + id3(7) + plain
    assert sniff(OpenFile(memory.BytesIO(tagged))).start == size + 7 + 20
    assert (io.load(memory.BytesIO(tagged), strict=True).waveform == io.load(memory.BytesIO(plain)).waveform).all()


def test_tags_in_front_of_flac(voice, encode):
    data = encode(voice(0.5), 16000, "FLAC")
    found = io.load(memory.BytesIO(id3(40) + data), strict=True)
    assert (found.waveform == io.load(memory.BytesIO(data)).waveform).all()


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "E_NOT_AUDIO", "git lfs pull"),
        (b"PK\x03\x04" + bytes(100), "E_NOT_AUDIO", "zip"),
        (b"\x1f\x8b\x08" + bytes(100), "E_NOT_AUDIO", "gzip"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "E_NOT_AUDIO", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "E_NOT_AUDIO", "playlist"),
        (b"<!DOCTYPE html><html>", "E_NOT_AUDIO", "web page"),
        (b"just some words", "E_NOT_AUDIO", "plain text"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(50), "E_NOT_AUDIO", "unknown"),
        (b"\xff" * 4096, "E_NOT_AUDIO", "unknown"),
        (b"\0" * 4096, "E_NOT_AUDIO", "unknown"),
        (b"x", "E_NOT_AUDIO", "unknown"),
        (b"RIFF", "E_TRUNCATED", "cut off after 4 bytes"),
        (id3(50), "E_EMPTY", "only an ID3 tag"),
        (id3(50)[:-1], "E_TRUNCATED", "cut off inside its ID3 tag"),
        (id3(0) * 300, "E_NOT_AUDIO", "unknown"),
    ],
)
def test_strangers_are_named(data, code, word):
    with pytest.raises(AudioError, match=word) as refused:
        name_of(data)
    assert refused.value.code == code


def test_raw_samples_are_never_guessed(voice):
    """libsndfile reads .raw and .vox by their names; here nothing goes by its name."""
    assert "RAW" in soundfile.available_formats()
    with pytest.raises(AudioError):
        name_of((voice(1.0) * 32767).astype("<i2").tobytes())
