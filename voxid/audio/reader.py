"""The reader behind load, stream and info: decodes in blocks, checks every sample, and compares the end with the header."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import soxr

from voxid.audio.containers import Container, sniff
from voxid.audio.decoders import ArrayDecoder, Decoder, open_decoder
from voxid.audio.headers import Claim, read_claim
from voxid.audio.limits import LIMITS, Limits
from voxid.audio.source import AudioLike, OpenFile, from_pair, refusal
from voxid.errors import AudioError, ConfigError

Channel = int | Literal["first", "mix", "all"]

# A sample above this is no sound any more: sums of its power overflow float32.
_LOUDEST = 2.0**32
# Full scale is 1; so far above it, integers were written as floats.
_SCALE = 8.0
# Samples decoded at a time, all channels together: 4 MB.
_CHUNK = 1 << 20
# Seconds read around a crop for the resampling filter, whose ends reach less than 20 ms.
_MARGIN = 0.1
# Encoders pad: a length may differ from the header by so many seconds.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Facts:
    """What a header says; the length in it is a promise, not a measurement.

    Args:
        name: The path as given, ``"<file object>"`` or ``"<waveform>"``.
        format, subtype: Container and codec, e.g. ``"wav"`` and ``"pcm_16"``.
        rate: Sampling rate in Hz.
        channels: How many channels.
        declared_duration: Seconds, None when the header does not say.
    """

    name: str
    format: str
    subtype: str
    rate: int
    channels: int
    declared_duration: float | None


class Reader:
    """An open recording that yields blocks, once; see `voxid.audio.io.stream` for the arguments.

    Attributes:
        facts: What the header says.
        rate: Sampling rate of the blocks in Hz.
        channel: An index, ``"mix"`` or ``"all"``.
    """

    def __init__(
        self,
        audio: AudioLike,
        *,
        block_seconds: float = math.inf,
        sample_rate: int | None = 16000,
        channel: Channel = "first",
        offset: float = 0.0,
        duration: float | None = None,
        limits: Limits = LIMITS,
        strict: bool = False,
        checksum: bool = False,
    ) -> None:
        _check_arguments(block_seconds, sample_rate, offset, duration)
        self._block_seconds, self._asked, self._limits, self._strict = block_seconds, channel, limits, strict
        self._source, self._container, self._decoder = _open(audio, checksum or strict)
        try:
            self.facts = self._header()
            self.rate = sample_rate or self.facts.rate
            self.channel = _pick_channel(channel, self.facts)
            self._window = _Window.of(offset, duration, self.facts.rate, self.rate)
            self._check_claim()
        except BaseException:
            self.close()
            raise
        self._warnings: list[str] = []
        self._samples, self._peak, self._used = 0, 0.0, False
        self._sounding, self._differ = np.zeros(self.facts.channels, bool), False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each ``"W_CODE: text"``; complete when the last block has been yielded."""
        return tuple(self._warnings)

    @property
    def duration(self) -> float:
        """Measured: seconds yielded so far."""
        return self._samples / self.rate

    @property
    def channel_remark(self) -> tuple[str, ...]:
        """W_CHANNELS, where channels differ and more than channel 0 is heard in them; complete like `warnings`."""
        if not (self._differ and self._sounding[1:].any()):
            return ()
        other = int(np.flatnonzero(self._sounding)[0])
        silent = f", in which there is nothing (channel {other} is the first with sound)" if other else ""
        hint = "take another by its number, or 'mix', or 'all'"
        return (f"W_CHANNELS: {self.facts.channels} channels that differ; channel 0 goes by default{silent}; {hint}",)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self._decoder.close()
        if self._source is not None:
            self._source.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._used:
            raise ConfigError(f"{self.facts.name}: a stream is read once; open it again", "E_INPUT")
        self._used = True
        size = None if math.isinf(self._block_seconds) else max(1, round(self._block_seconds * self.rate))
        try:
            for block in _regroup(self._converted(), size):
                self._samples += len(block)
                yield np.ascontiguousarray(block.T if self.channel == "all" else block[:, 0])
            if self._samples == 0:
                raise self._nothing()
            self._conclude()
        finally:
            self.close()

    def promise(self) -> Facts:
        """The facts, with the length that the header promises where the file is cut off; walks an Ogg or WebM file."""
        declared = self._claim().duration(self._decoder.frames or 0, self.facts.rate)
        return self.facts if declared is None else replace(self.facts, declared_duration=declared)

    def _claim(self) -> Claim:
        if self._source is None or self._container is None:
            return Claim(frames=self._decoder.frames)
        return read_claim(self._source, self._container, self._decoder.frames)

    def _header(self) -> Facts:
        decoder, name = self._decoder, self._source.name if self._source else "<waveform>"
        self._limits.check_header(name, decoder.rate, decoder.channels)
        declared = None if decoder.frames is None else decoder.frames / decoder.rate
        return Facts(name, decoder.format, decoder.subtype, decoder.rate, decoder.channels, declared)

    def _check_claim(self) -> None:
        """Refuse what is asked for, as far as the header promises it, before any of it is decoded."""
        frames, window = self._decoder.frames, self._window
        if frames is not None:
            size = self._source.size if self._source else frames
            if self._limits.is_plausible(frames, size):
                stop = frames if window.stop is None else min(frames, window.stop)
                self._limits.check_decoded(self.facts.name, stop - window.start, self.facts.rate, self.facts.channels)

    def _decoded(self) -> Iterator[np.ndarray]:
        """Blocks [T, C] at the rate of the file, all checked."""
        window, facts = self._window, self.facts
        self._decoder.seek(window.start)
        position, chunk = window.start, _CHUNK // facts.channels
        while window.stop is None or position < window.stop:
            promised = max(4096, (self._decoder.frames or 1 << 62) - position)
            wanted = min(chunk, promised, (window.stop or 1 << 62) - position)
            block = self._decoder.read(wanted)
            if not len(block):
                self._compare(position)
                return
            position += len(block)
            self._limits.check_decoded(facts.name, position - window.start, facts.rate, facts.channels)
            self._check_block(block)
            yield block

    def _check_block(self, block: np.ndarray) -> None:
        self._peak = max(self._peak, self._check_finite(block))
        if block.shape[1] > 1:
            self._sounding |= block.any(axis=0)
            self._differ = self._differ or bool((block != block[:, :1]).any())

    def _check_finite(self, block: np.ndarray) -> float:
        """The peak. NaN fails both comparisons, and so does what 1e300 became as float32."""
        high, low = float(block.max()), float(block.min())
        if not (high <= _LOUDEST and low >= -_LOUDEST):
            what = "samples so large that their power overflows" if math.isfinite(high - low) else "NaN or infinite samples"
            raise refusal(self.facts.name, f"{what}; export it again as 16-bit WAV or FLAC", "E_NONFINITE")
        return max(high, -low)

    def _converted(self) -> Iterator[np.ndarray]:
        """The chosen channels at the rate asked for, cut to the window: blocks [T, 1] or [T, C]."""
        blocks: Iterator[np.ndarray] = (self._select(block) for block in self._decoded())
        if self.rate != self.facts.rate:
            channels = self.facts.channels if self.channel == "all" else 1
            blocks = _resampled(blocks, self.facts.rate, self.rate, channels)
        for block in _cut(blocks, self._window.skip, self._window.keep):
            if self.rate != self.facts.rate:
                self._check_finite(block)
            yield block

    def _select(self, block: np.ndarray) -> np.ndarray:
        if self.channel == "mix":
            return block.mean(axis=1, keepdims=True, dtype=np.float32)
        return block if isinstance(self.channel, str) else block[:, self.channel : self.channel + 1]

    def _compare(self, position: int) -> None:
        """At the end of the file: what was measured against what was promised."""
        if position == self._window.start > 0:
            return  # behind the end: how far it reaches was not seen
        claim, measured = self._claim(), position / self.facts.rate
        declared = claim.duration(position, self.facts.rate)
        self.facts = replace(self.facts, declared_duration=declared)
        self._warnings += claim.faults
        if self._decoder.damage:
            self._warnings.append(f"W_CORRUPT: decoding stopped at {measured:.2f} s ({self._decoder.damage})")
        if declared is not None and abs(declared - measured) > _TOLERANCE:
            code = "W_TRUNCATED" if declared > measured else "W_HEADER"
            self._warnings.append(f"{code}: the header promises {declared:.6g} s, {measured:.6g} s are there")
        elif claim.md5 and self._decoder.md5 not in (b"", claim.md5) and not self._decoder.damage:
            self._warnings.append("W_CORRUPT: the samples do not match the checksum in the FLAC header")

    def _conclude(self) -> None:
        """The warnings that only the whole recording can give; with `strict`, the first of all is raised."""
        rate = self.facts.rate
        if rate < 8000:
            self._warnings.append(f"W_RATE: {rate} Hz is below the 8000 Hz of a telephone")
        if self._peak > _SCALE:
            self._warnings.append(f"W_SCALE: samples up to {self._peak:.6g} where 1 is full scale; integers saved as floats?")
        if self._asked == "first":
            self._warnings += self.channel_remark
        if self._strict and self._warnings:
            code, text = self._warnings[0].split(": ", 1)
            raise refusal(self.facts.name, f"{text} (refused because strict)", code.replace("W_", "E_", 1))

    def _nothing(self) -> AudioError:
        if self._window.start > 0 or self._window.skip > 0:
            return refusal(self.facts.name, "the part asked for lies behind the end of the recording", "E_EMPTY")
        for warning in self._warnings:
            code, text = warning.split(": ", 1)
            if code in ("W_TRUNCATED", "W_CORRUPT"):
                return refusal(self.facts.name, f"nothing could be decoded: {text}", code.replace("W_", "E_", 1))
        hint = "a recorder that was killed leaves a header without samples"
        return refusal(self.facts.name, f"no samples; {hint}", "E_EMPTY")


@dataclass(frozen=True)
class _Window:
    """The part to read: frames of the file from `start` to `stop`, of whose resampled signal `skip` go and `keep` stay.

    A crop begins a margin early, on a frame that falls on a sample of the new rate: so it equals the same slice of the whole.
    """

    start: int
    stop: int | None
    skip: int
    keep: int | None

    @classmethod
    def of(cls, offset: float, duration: float | None, from_rate: int, to_rate: int) -> _Window:
        first = round(offset * to_rate)
        keep = None if duration is None else max(1, round(duration * to_rate))
        if from_rate == to_rate:
            return cls(first, None if keep is None else first + keep, 0, keep)
        margin, period = math.ceil(_MARGIN * from_rate), from_rate // math.gcd(from_rate, to_rate)
        start = max(0, first * from_rate // to_rate - margin) // period * period
        stop = None if keep is None else (first + keep) * from_rate // to_rate + margin
        return cls(start, stop, first - start * to_rate // from_rate, keep)


def _open(audio: AudioLike, checksum: bool) -> tuple[OpenFile | None, Container | None, Decoder]:
    if isinstance(audio, tuple):
        return None, None, ArrayDecoder(*from_pair(audio))
    if not isinstance(audio, str | bytes) and not hasattr(audio, "__fspath__") and not hasattr(audio, "read"):
        got = type(audio).__name__
        raise AudioError(f"expected a path, a binary file object or a pair (waveform, rate), got {got}", "E_INPUT")
    source = OpenFile(audio)
    try:
        container = sniff(source)
        return source, container, open_decoder(source, container, checksum=checksum)
    except BaseException:
        source.close()
        raise


def check_rate(rate: float) -> None:
    """Raise ConfigError for a rate that no resampler takes."""
    if not (1 <= rate <= 1_000_000 and rate == int(rate)):
        raise ConfigError(f"a sampling rate is a whole number of Hz from 1 to 1000000, got {rate!r}", "E_RATE")


def _check_arguments(block_seconds: float, sample_rate: int | None, offset: float, duration: float | None) -> None:
    if not block_seconds > 0:
        raise ConfigError(f"block_seconds must be above 0, got {block_seconds}", "E_INPUT")
    if sample_rate is not None:
        check_rate(sample_rate)
    if not 0 <= offset < math.inf:
        raise ConfigError(f"offset must be 0 s or more, got {offset}", "E_INPUT")
    if duration is not None and not 0 < duration < math.inf:
        raise ConfigError(f"duration must be above 0 s, or None for all, got {duration}", "E_INPUT")


def _pick_channel(channel: Channel, facts: Facts) -> int | str:
    if channel in ("mix", "all"):
        return channel
    if channel == "first":
        return 0
    if not isinstance(channel, int) or isinstance(channel, bool):
        raise ConfigError(f"channel must be 'first', 'mix', 'all' or a number from 0, got {channel!r}", "E_CHANNELS")
    if not 0 <= channel < facts.channels:
        raise refusal(facts.name, f"no channel {channel}: it has {facts.channels}, counted from 0", "E_CHANNELS")
    return channel


def _resampled(blocks: Iterable[np.ndarray], from_rate: int, to_rate: int, channels: int) -> Iterator[np.ndarray]:
    resampler = soxr.ResampleStream(from_rate, to_rate, channels, "float32")
    for block in blocks:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)


def _cut(blocks: Iterable[np.ndarray], skip: int, keep: int | None) -> Iterator[np.ndarray]:
    """Drop the first `skip` samples, let `keep` pass; no empty blocks."""
    for block in blocks:
        kept = block[skip:] if keep is None else block[skip : skip + keep]
        skip = max(0, skip - len(block))
        keep = None if keep is None else keep - len(kept)
        if len(kept):
            yield kept


def _regroup(blocks: Iterable[np.ndarray], size: int | None) -> Iterator[np.ndarray]:
    """The same samples in blocks of `size`; None leaves them as they come."""
    held: list[np.ndarray] = []
    count = 0
    for block in blocks:
        if size is None:
            yield block
            continue
        while count + len(block) >= size:
            head, block = block[: size - count], block[size - count :]
            yield np.concatenate([*held, head])
            held, count = [], 0
        if len(block):
            held.append(block)
            count += len(block)
    if count:
        yield np.concatenate(held)
