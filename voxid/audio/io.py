"""The only door to audio files: load, stream, info, resample, save. Length is measured, never believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from voxid.audio.limits import LIMITS, STREAM_LIMITS, Limits
from voxid.audio.reader import Channel, Facts, Reader, check_rate
from voxid.audio.source import AudioLike, from_pair
from voxid.audio.writer import Writer, open_writer, save

__all__ = [
    "AudioLike",
    "Channel",
    "Facts",
    "Limits",
    "Reader",
    "Recording",
    "Writer",
    "info",
    "load",
    "open_writer",
    "resample",
    "save",
    "stream",
]


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded recording, or a part of it.

    Args:
        waveform: float32 [T], or [C, T] with ``channel="all"``; finite, full scale is 1.
        rate: Sampling rate of `waveform` in Hz.
        channel: The channel used: an index, ``"mix"`` or ``"all"``.
        warnings: Each ``"W_CODE: text"``.
        facts: What the header says: name, format, subtype, rate, channels, declared_duration.
    """

    waveform: np.ndarray
    rate: int
    channel: int | str
    warnings: tuple[str, ...]
    facts: Facts

    @property
    def duration(self) -> float:
        """Measured length of the waveform in seconds."""
        return self.waveform.shape[-1] / self.rate

    @property
    def name(self) -> str:
        """Where it came from, for messages."""
        return self.facts.name


def load(
    audio: AudioLike,
    *,
    sample_rate: int | None = 16000,
    channel: Channel = "first",
    offset: float = 0.0,
    duration: float | None = None,
    limits: Limits = LIMITS,
    strict: bool = False,
) -> Recording:
    """Decode a recording, or a crop of it, into memory.

    Args:
        audio: A path, a binary file object (read from its start), or a pair ``(waveform, rate)`` with [T] or [C, T].
        sample_rate: Rate to resample to in Hz; None keeps the rate of the file.
        channel: ``"first"`` takes channel 0, and warns (W_CHANNELS) when the others differ from it; an index takes that one;
            ``"mix"`` averages; ``"all"`` keeps every channel.
        offset, duration: The part to read, in seconds. A crop that passes the end is shorter. The formats of soundfile read no
            more than the crop, those of PyAV are decoded from their start.
        limits: Bounds, enforced while decoding.
        strict: Raise instead of warn, and compare the checksum of a FLAC file.

    Raises:
        AudioError: Not readable, not audio, empty, not finite, or outside the limits; docs/audio.md lists the codes.
        ConfigError: An argument that makes no sense.

    Example:
        >>> load((np.zeros(8000, np.float32), 8000)).waveform.shape
        (16000,)
    """
    with Reader(
        audio, sample_rate=sample_rate, channel=channel, offset=offset, duration=duration, limits=limits, strict=strict
    ) as reader:
        blocks = list(reader)
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-1)
    return Recording(waveform, reader.rate, reader.channel, reader.warnings, reader.facts)


def stream(
    audio: AudioLike,
    *,
    block_seconds: float = 10.0,
    sample_rate: int | None = 16000,
    channel: Channel = "first",
    offset: float = 0.0,
    duration: float | None = None,
    limits: Limits = STREAM_LIMITS,
    strict: bool = False,
    checksum: bool = False,
) -> Reader:
    """Blocks of a recording of any length, in bounded memory; put together they equal what `load` gives.

    Args:
        audio, sample_rate, channel, offset, duration, limits, strict: As in `load`, but the limits are wider.
        block_seconds: Length of a block; the last one is shorter.
        checksum: Compare the checksum of a FLAC file without being strict.

    Returns:
        To be iterated once. It has ``rate``, ``facts``, and, when the last block is out, ``warnings`` and ``duration``;
        a ``with`` statement closes the file early.

    Example:
        >>> blocks = stream((np.zeros(20000), 8000), sample_rate=None, block_seconds=1)
        >>> [block.shape for block in blocks], blocks.duration
        ([(8000,), (8000,), (4000,)], 2.5)
    """
    return Reader(
        audio,
        block_seconds=block_seconds,
        sample_rate=sample_rate,
        channel=channel,
        offset=offset,
        duration=duration,
        limits=limits,
        strict=strict,
        checksum=checksum,
    )


def info(audio: AudioLike, *, limits: Limits = STREAM_LIMITS) -> Facts:
    """What the header of a recording says; nothing is decoded, so the length is a promise.

    Raises:
        AudioError: As in `load`, as far as a header tells.

    Example:
        >>> info((np.zeros((2, 4000)), 8000)).declared_duration
        0.5
    """
    with Reader(audio, sample_rate=None, limits=limits) as reader:
        return reader.promise()


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample a whole waveform, without delay (soxr, its high quality).

    Args:
        waveform: [T] or [C, T].
        from_rate, to_rate: In Hz.

    Returns:
        float32 [T'] or [C, T'], where T' is T * to_rate / from_rate, rounded.

    Raises:
        ConfigError: A rate that is no whole number of Hz.

    Example:
        >>> resample(np.zeros(480), 48000, 16000).shape
        (160,)
    """
    for rate in (from_rate, to_rate):
        check_rate(rate)
    samples, _ = from_pair((np.asarray(waveform), from_rate))
    if from_rate != to_rate:
        samples = soxr.resample(samples, from_rate, to_rate)
    return samples[:, 0] if np.ndim(waveform) == 1 else np.ascontiguousarray(samples.T)
