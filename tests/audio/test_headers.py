"""Headers: what they promise, compared with files that were cut and changed by hand."""

from __future__ import annotations

import io as memory
import struct

import numpy as np
import pytest

from voxid.audio.containers import sniff
from voxid.audio.headers import Claim, last_ogg_page, ogg_checksum, ogg_page, read_claim
from voxid.audio.source import OpenFile


def claim_of(data: bytes) -> Claim:
    source = OpenFile(memory.BytesIO(data))
    return read_claim(source, sniff(source), None)


def codes(data: bytes) -> list[str]:
    return [fault.partition(":")[0] for fault in claim_of(data).faults]


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF", "AU", "NIST"])
@pytest.mark.parametrize("channels", [1, 2])
def test_promised_bytes_are_those_of_the_samples(voice, encode, kind, channels):
    wave = np.stack([voice(1.0)] * channels)
    data = encode(wave, 16000, kind, "PCM_24")
    claim = claim_of(data)
    padding = 8 if kind == "AIFF" else 0  # offset and block size stand before the samples of an SSND chunk
    assert claim.data == (3 * 16000 * channels + padding,) * 2
    assert claim.duration(16000, 16000) == 1.0
    cut = claim_of(data[: len(data) - 1000])
    assert cut.data == (claim.data[0], claim.data[0] - 1000)
    assert cut.duration(16000, 16000) > 1.0


def test_flac(voice, encode):
    data = encode(voice(1.5), 22050, "FLAC")
    claim = claim_of(data)
    assert (claim.rate, claim.frames, len(claim.md5)) == (22050, 24000, 16)
    assert claim.md5 == data[26:42]


def test_an_odd_chunk_in_front_is_stepped_over(voice, encode):
    data = encode(voice(0.5))
    chunk = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    assert claim_of(data[:12] + chunk + data[12:]).data == (16000, 16000)


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        (4, struct.pack("<I", 1000), "W_HEADER"),
        (32, struct.pack("<H", 7), "W_HEADER"),
        (4, bytes(4), None),
        (4, b"\xff" * 4, None),
    ],
)
def test_wav_fields_that_do_not_agree(voice, encode, place, value, code):
    data = bytearray(encode(voice(0.5)))
    data[place : place + len(value)] = value
    assert codes(bytes(data)) == ([code] if code else [])


@pytest.mark.parametrize("length", range(12, 44, 3))
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "NIST", "FLAC"])
def test_a_cut_header_never_raises(voice, encode, kind, length):
    claim = claim_of(encode(voice(0.1), 16000, kind)[:length])
    assert isinstance(claim, Claim)


def test_a_flood_of_chunks_ends():
    assert claim_of(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 200_000) == Claim()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_pages_of_libogg_have_our_checksum(voice, encode, subtype):
    data = encode(voice(8.0), 16000, "OGG", subtype)
    source, place, pages = OpenFile(memory.BytesIO(data)), 0, []
    while place < len(data):
        page = ogg_page(source, place)
        assert page[22:26] == ogg_checksum(page)
        pages.append((place, int.from_bytes(page[6:14], "little")))
        place += len(page)
    assert len(pages) > 2
    assert last_ogg_page(source) == pages[-2][1]
    assert claim_of(data).faults == ()
    for place, _ in pages[1:]:
        assert codes(data[:place]) == ["W_TRUNCATED"]
        assert codes(data[: place + 40]) == ["W_TRUNCATED"]
    assert codes(data + data) == ["W_CHAINED"]
    damaged = bytearray(data)
    damaged[pages[1][0] + 200] ^= 1
    assert codes(bytes(damaged)) == ["W_CORRUPT"]
    assert codes(data[: pages[1][0]] + b"junk" + data[pages[1][0] :]) == ["W_CORRUPT"]


def test_webm_is_whole_or_cut_off(voice, encode_av):
    data = encode_av(voice(3.0, 48000), 48000, "webm", "libopus")
    assert codes(data) == []
    assert all(codes(data[: len(data) * part // 10]) == ["W_TRUNCATED"] for part in range(1, 10))


def test_webm_as_a_browser_records_it(voice, encode_av):
    """The sizes of Segment and Cluster are unknown there: all ones."""
    data = bytearray(encode_av(voice(1.0, 48000), 48000, "webm", "libopus"))
    for name, width in ((b"\x18\x53\x80\x67", 8), (b"\x1f\x43\xb6\x75", None)):
        place = data.index(name) + 4
        width = width or 9 - data[place].bit_length()
        data[place : place + width] = bytes([(1 << 8 - width) | (1 << 8 - width) - 1]) + b"\xff" * (width - 1)
    index = data.rfind(b"\x1c\x53\xbb\x6b")  # the cues behind the cluster
    body = bytes(data[:index] if index > 0 else data)
    assert codes(body) == []
    assert codes(body[:-3]) == ["W_TRUNCATED"]


def test_an_mp3_promises_only_by_its_tag(voice, encode):
    data = encode(voice(2.0), 16000, "MP3")
    source = OpenFile(memory.BytesIO(data))
    assert read_claim(source, sniff(source), 123).frames == 123
    start = data.index(b"\xff", 100)  # the second frame: without the tag in the first the length is a guess
    while data[start + 1] != data[1]:
        start = data.index(b"\xff", start + 1)
    source = OpenFile(memory.BytesIO(data[start:]))
    assert read_claim(source, sniff(source), 123).frames is None
