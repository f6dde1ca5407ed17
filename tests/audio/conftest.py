"""Files of every format, for the tests of audio."""

from __future__ import annotations

import io as memory
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """A function (waveform [T] or [C, T], rate, format, subtype) -> the bytes of a file, by soundfile alone."""

    def make(waveform: np.ndarray, rate: int = 16000, kind: str = "WAV", subtype: str | None = None) -> bytes:
        target = memory.BytesIO()
        soundfile.write(target, np.atleast_2d(waveform).T, rate, format=kind, subtype=subtype)
        return target.getvalue()

    return make


@pytest.fixture(scope="session")
def encode_av() -> Callable[..., bytes]:
    """The same by PyAV, (waveform, rate, muxer, codec), for what soundfile does not write; skips without PyAV."""
    av = pytest.importorskip("av", reason="needs the extra 'audio'")

    def make(waveform: np.ndarray, rate: int, muxer: str, codec: str) -> bytes:
        planes = np.ascontiguousarray(np.atleast_2d(waveform), dtype=np.float32)
        layout = "mono" if len(planes) == 1 else "stereo"
        target = memory.BytesIO()
        target.name = "x"
        with av.open(target, "w", format=muxer) as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            kind = stream.codec_context.codec.audio_formats[0].name
            if kind == "s16":
                planes = np.round(planes.T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(planes, format=kind, layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        return target.getvalue()

    return make


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """A function (bytes, name) -> a file with them."""

    def make(data: bytes, name: str = "a.wav") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return make
