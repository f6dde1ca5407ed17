"""Limits: asked of the header, enforced while decoding."""

from __future__ import annotations

import io as memory
import tracemalloc

import numpy as np
import pytest

from voxid.audio import io
from voxid.audio.io import Limits
from voxid.errors import AudioError


def refused(audio, **arguments):
    with pytest.raises(AudioError) as error:
        io.load(audio, **arguments)
    return error.value.code


def test_duration(voice):
    pair = (voice(2.0), 16000)
    assert refused(pair, limits=Limits(duration=1.9)) == "E_TOO_LONG"
    assert io.load(pair, limits=Limits(duration=2.0)).duration == 2.0
    assert io.load(pair, offset=0.5, duration=1.0, limits=Limits(duration=1.0)).duration == 1.0


def test_samples_of_all_channels(voice):
    pair = (np.stack([voice(1.0)] * 4), 16000)
    assert refused(pair, limits=Limits(samples=63_999)) == "E_TOO_LONG"
    assert io.load(pair, limits=Limits(samples=64_000)).duration == 1.0


@pytest.mark.parametrize(("channels", "code"), [(8, None), (9, "E_CHANNELS")])
def test_channels(channels, code):
    pair = (np.ones((channels, 8000), np.float32), 16000)
    assert (refused(pair) if code else None) == code
    assert io.load(pair, limits=Limits(channels=9)).facts.channels == channels


@pytest.mark.parametrize(("rate", "code"), [(1, "E_RATE"), (3999, "E_RATE"), (4000, None), (192000, None), (192001, "E_RATE")])
def test_rates(rate, code):
    pair = (np.ones(4000, np.float32), rate)
    assert (refused(pair) if code else io.load(pair) and None) == code


def test_a_header_is_refused_before_anything_is_decoded(encode):
    """An hour of silence in 186 kB; the refusal costs no memory."""
    data = encode(np.zeros(16000 * 3700, np.int16), 16000, "FLAC")
    assert len(data) < 200_000
    tracemalloc.start()
    assert refused(memory.BytesIO(data)) == "E_TOO_LONG"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert io.load(memory.BytesIO(data), offset=3600, duration=2).duration == 2.0


def test_a_header_that_hides_its_length_is_stopped_while_decoding(encode):
    data = bytearray(encode(np.zeros(16000 * 100, np.int16), 16000, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # unknown length
    assert refused(memory.BytesIO(bytes(data)), limits=Limits(duration=99)) == "E_TOO_LONG"
    assert io.load(memory.BytesIO(bytes(data)), limits=Limits(duration=100)).duration == 100.0
