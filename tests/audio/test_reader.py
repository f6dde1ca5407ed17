"""The reader: crops equal slices, streams equal loads, channels are chosen aloud, and lengths are measured."""

from __future__ import annotations

import io as memory
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.audio import io
from voxid.audio.reader import Reader
from voxid.errors import AudioError, ConfigError

FORMATS = [("WAV", None, 16000), ("FLAC", None, 44100), ("OGG", "VORBIS", 22050), ("OGG", "OPUS", 48000), ("MP3", None, 16000)]
FORMATS += [("AIFF", None, 8000), ("WAV", "GSM610", 8000), ("WAV", "IMA_ADPCM", 15991)]


class Files(list):
    """Bytes that a failing test does not print."""

    def __repr__(self):
        return "recordings"


@pytest.fixture(scope="module")
def recordings(voice, encode):
    """The same 4 s in each of `FORMATS`."""
    return Files(encode(voice(4.0, rate), rate, kind, subtype) for kind, subtype, rate in FORMATS)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    which=st.integers(0, len(FORMATS) - 1),
    offset=st.floats(0, 3.9),
    duration=st.floats(0.001, 5),
    sample_rate=st.sampled_from([16000, None, 8000, 24000]),
)
def test_a_crop_is_a_slice_of_the_whole(recordings, which, offset, duration, sample_rate):
    whole = io.load(memory.BytesIO(recordings[which]), sample_rate=sample_rate)
    crop = io.load(memory.BytesIO(recordings[which]), sample_rate=sample_rate, offset=offset, duration=duration)
    start = round(offset * whole.rate)
    expected = whole.waveform[start : start + max(1, round(duration * whole.rate))]
    assert crop.waveform.shape == expected.shape
    # Rates without a common factor are interpolated, and soxr rounds the phase. An Opus decoder that starts in the middle
    # follows its past states only after some packets.
    np.testing.assert_allclose(crop.waveform, expected, atol=0.02 if FORMATS[which][1] == "OPUS" else 2e-6)


@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 16000), (7.3, 22050), (30.0, 16000)])
def test_vorbis_is_exact_up_to_its_last_sample(voice, encode, put, seconds, rate):
    """libsndfile alone misses within the last Ogg page."""
    path = put(encode(voice(seconds, rate), rate, "OGG", "VORBIS"))
    whole = io.load(path, sample_rate=None).waveform
    for start in {*range(0, len(whole), len(whole) // 20), *range(len(whole) - 16000, len(whole), 997), len(whole) - 1}:
        crop = io.load(path, sample_rate=None, offset=start / rate, duration=0.1).waveform
        np.testing.assert_allclose(crop, whole[start : start + round(0.1 * rate)], atol=1e-7)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(which=st.integers(0, len(FORMATS) - 1), block=st.floats(0.01, 6), channel=st.sampled_from(["first", "mix", "all"]))
def test_blocks_add_up_to_the_whole(recordings, which, block, channel):
    whole = io.load(memory.BytesIO(recordings[which]), channel=channel)
    stream = io.stream(memory.BytesIO(recordings[which]), block_seconds=block, channel=channel)
    blocks = list(stream)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=-1), whole.waveform)
    assert {part.shape[-1] for part in blocks[:-1]} <= {max(1, round(block * 16000))}
    assert (stream.duration, stream.warnings, stream.channel) == (whole.duration, whole.warnings, whole.channel)


def test_a_stream_is_read_once_and_closes(voice, encode, put):
    stream = io.stream(put(encode(voice(0.3))))
    assert len(list(stream)) == 1
    with pytest.raises(ConfigError, match="read once"):
        list(stream)
    with io.stream(put(encode(voice(0.3)))) as early:
        early.close()


def test_a_crop_behind_the_end(voice, encode):
    data = encode(voice(1.0), 16000, "FLAC")
    assert io.load(memory.BytesIO(data), offset=0.75, duration=9).duration == pytest.approx(0.25)
    with pytest.raises(AudioError, match="behind the end") as refused:
        io.load(memory.BytesIO(data), offset=1.5)
    assert refused.value.code == "E_EMPTY"


def test_a_flac_of_unknown_length_can_be_cropped(voice, encode):
    data = bytearray(encode(voice(2.0), 16000, "FLAC"))
    whole = io.load(memory.BytesIO(bytes(data)))
    data[21] &= 0xF0  # the 36 bits of the length in STREAMINFO
    data[22:26] = bytes(4)
    assert io.info(memory.BytesIO(bytes(data))).declared_duration is None
    crop = io.load(memory.BytesIO(bytes(data)), offset=1.0, duration=0.5)
    np.testing.assert_array_equal(crop.waveform, whole.waveform[16000:24000])


class TestChannels:
    """Identical channels are one; different ones are never mixed unless asked."""

    def test_equal_channels_go_without_a_word(self, voice):
        found = io.load((np.stack([voice(0.5)] * 3), 16000))
        assert (found.channel, found.warnings, found.facts.channels) == (0, (), 3)

    def test_different_channels_are_named(self, voice):
        pair = np.stack([voice(0.5), voice(0.5, seed=2)])
        found = io.load((pair, 16000))
        np.testing.assert_array_equal(found.waveform, pair[0])
        assert found.warnings[0].startswith("W_CHANNELS: 2 channels that differ")
        with pytest.raises(AudioError, match="strict") as refused:
            io.load((pair, 16000), strict=True)
        assert refused.value.code == "E_CHANNELS"

    def test_antiphase_is_not_silence(self, voice):
        found = io.load((np.stack([voice(0.5), -voice(0.5)]), 16000))
        assert np.abs(found.waveform).max() > 0.1
        assert len(found.warnings) == 1

    def test_a_silent_neighbour_is_no_difference(self, voice):
        silent = np.zeros(8000, np.float32)
        assert io.load((np.stack([voice(0.5), silent]), 16000)).warnings == ()
        (warning,) = io.load((np.stack([silent, voice(0.5)]), 16000)).warnings
        assert "channel 1 is the first with sound" in warning

    def test_by_request(self, voice):
        pair = np.stack([voice(0.5), voice(0.5, seed=2)])
        assert io.load((pair, 16000), channel="all").waveform.shape == (2, 8000)
        np.testing.assert_array_equal(io.load((pair, 16000), channel=1).waveform, pair[1])
        mixed = io.load((pair, 16000), channel="mix")
        np.testing.assert_allclose(mixed.waveform, pair.mean(axis=0), atol=1e-7)
        assert (mixed.channel, mixed.warnings) == ("mix", ())

    @pytest.mark.parametrize(
        ("channel", "error"), [(2, AudioError), (-1, AudioError), ("left", ConfigError), (True, ConfigError)]
    )
    def test_what_is_not_there(self, voice, channel, error):
        with pytest.raises(error, match="channel") as refused:
            io.load((np.stack([voice(0.1)] * 2), 16000), channel=channel)
        assert refused.value.code == "E_CHANNELS"


@pytest.mark.parametrize(
    "arguments",
    [
        "offset=-1",
        "offset=nan",
        "duration=0",
        "duration=inf",
        "sample_rate=0",
        "sample_rate=1.5",
        "sample_rate=nan",
        "block_seconds=0",
    ],
)
def test_arguments_that_make_no_sense(voice, arguments):
    name, value = arguments.split("=")
    with pytest.raises(ConfigError):
        io.stream((voice(0.1), 16000), **{name: float(value)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e300])
@pytest.mark.parametrize("dtype", ["FLOAT", "DOUBLE"])
def test_what_is_not_finite_is_refused(voice, encode, value, dtype):
    wave = np.stack([voice(0.5), voice(0.5)]).astype(np.float64)
    wave[1, 4321] = value  # in the channel that is not even used
    with np.errstate(over="ignore"), pytest.raises(AudioError) as refused:
        io.load(memory.BytesIO(encode(wave, 16000, "WAV", dtype)))
    assert refused.value.code == "E_NONFINITE"
    with pytest.raises(AudioError) as refused:
        io.load((wave, 16000))
    assert refused.value.code == "E_NONFINITE"


def test_integers_saved_as_floats_are_named(voice, encode):
    found = io.load(memory.BytesIO(encode(voice(0.5) * 32767, 16000, "WAV", "FLOAT")))
    assert found.warnings[0].startswith("W_SCALE")


def test_a_low_rate_is_named(voice):
    assert io.load((voice(0.5, 6000), 6000)).warnings[0].startswith("W_RATE: 6000")


class TestLength:
    """Measured, whatever the header says."""

    def test_a_cut_file_is_named_and_strict_refuses(self, voice, encode):
        data = encode(voice(2.0))[: 44 + 32000]
        found = io.load(memory.BytesIO(data))
        assert (found.duration, found.facts.declared_duration) == (1.0, pytest.approx(2.0))
        assert found.warnings[0].startswith("W_TRUNCATED")
        with pytest.raises(AudioError) as refused:
            io.load(memory.BytesIO(data), strict=True)
        assert refused.value.code == "E_TRUNCATED"

    @pytest.mark.parametrize(("frames", "duration"), [(8000, 0.5), (17000, 1.0), (2**36 - 1, 1.0)])
    def test_a_flac_that_lies(self, voice, encode, frames, duration):
        """libsndfile stops where a header says less; where it says more, the end of the file counts."""
        data = bytearray(encode(voice(1.0), 16000, "FLAC"))
        data[21:26] = ((data[21] & 0xF0) << 32 | frames).to_bytes(5)
        found = io.load(memory.BytesIO(bytes(data)))
        assert found.duration == duration
        assert [warning.partition(":")[0] for warning in found.warnings] == ["W_TRUNCATED"] * (frames > 2**20)

    def test_a_wav_that_was_streamed_is_whole(self, voice, encode):
        data = bytearray(encode(voice(1.0)))
        data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
        found = io.load(memory.BytesIO(bytes(data)))
        assert (found.duration, found.warnings, found.facts.declared_duration) == (1.0, (), None)

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
    def test_no_samples(self, voice, encode, size):
        data = encode(voice(1.0))[:40] + struct.pack("<I", size)
        with pytest.raises(AudioError) as refused:
            io.load(memory.BytesIO(data))
        assert refused.value.code == "E_EMPTY"

    def test_damage_in_the_middle_keeps_what_precedes_it(self, voice, encode):
        whole = encode(voice(4.0), 16000, "FLAC")
        data = bytearray(whole)
        data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
        found = io.load(memory.BytesIO(bytes(data)))
        assert any(warning.startswith("W_CORRUPT") for warning in found.warnings)
        assert 1.0 < found.duration < 2.5
        np.testing.assert_array_equal(found.waveform, io.load(memory.BytesIO(whole)).waveform[: len(found.waveform)])

    def test_a_wrong_checksum_is_seen_where_it_is_looked_for(self, voice, encode):
        data = bytearray(encode(voice(0.5), 16000, "FLAC", "PCM_24"))
        with Reader(memory.BytesIO(bytes(data)), checksum=True) as reader:
            assert list(reader)
            assert reader.warnings == ()
        data[26] ^= 1  # the first byte of the MD5 in STREAMINFO
        stream = io.stream(memory.BytesIO(bytes(data)), checksum=True)
        list(stream)
        assert stream.warnings == ("W_CORRUPT: the samples do not match the checksum in the FLAC header",)
        assert io.load(memory.BytesIO(bytes(data))).warnings == ()
