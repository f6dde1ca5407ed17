"""Decoders: from an open file, or an array, to blocks of samples. A block is [T, C] float32; an empty one is the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soundfile

from voxid import extras
from voxid.audio.containers import ACCEPTED, Container
from voxid.audio.headers import last_ogg_page, read_claim
from voxid.audio.source import Guard, OpenFile, printable, refusal, to_float
from voxid.errors import AudioError, ConfigError

# Samples decoded at a time when a damaged file is decoded again up to the damage: one frame of a low-rate MP3.
_SMALL_STEP = 576
# FFmpeg's sample formats, and the channels for which a frame holds pointers of its own.
_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_MAX_PLANES = 8


class Decoder(Protocol):
    """What reads samples.

    Attributes:
        format, subtype: Container and codec.
        rate, channels: As decoded, in Hz and as a count.
        frames: Samples a channel that the header promises, None when it does not say.
        damage: Why decoding stopped early, or "".
        md5: Of the samples read so far, as FLAC defines it; empty unless it was asked for.
    """

    format: str
    subtype: str
    rate: int
    channels: int
    frames: int | None
    damage: str

    @property
    def md5(self) -> bytes: ...

    def seek(self, frame: int) -> None:
        """Go to a frame, once, before the first read; behind the end is allowed."""

    def read(self, frames: int) -> np.ndarray:
        """The next block, at most `frames` long; empty at the end."""

    def close(self) -> None: ...


def open_decoder(source: OpenFile, container: Container, *, checksum: bool = False) -> Decoder:
    """The decoder for a container. With `checksum`, a FLAC decoder keeps the MD5 of what it decodes.

    Raises:
        AudioError: E_HEADER, E_UNSUPPORTED, E_TRUNCATED, E_RATE, E_NOT_AUDIO, E_EXTRA.
    """
    if container.demuxer is not None:
        return AvDecoder(source, container)
    return SoundFileDecoder(source, container, checksum=checksum)


class _Forward(soundfile.SoundFile):
    """A SoundFile that goes forward only: the library otherwise seeks after each read, which a lying header breaks."""

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """libsndfile: wav, flac, mp3, ogg, opus, aiff, au, sph, w64, caf, ..."""

    def __init__(self, source: OpenFile, container: Container, *, checksum: bool = False) -> None:
        self._source, self._container = source, container
        self._file = self._open()
        self.format, self.subtype = container.name, self._file.subtype.lower()
        self.rate, self.channels = self._file.samplerate, self._file.channels
        # SF_COUNT_MAX stands for a length that nobody knows.
        self.frames: int | None = self._file.frames if 0 <= self._file.frames < 1 << 62 else None
        self.damage = ""
        self._position = 0
        bits = {"pcm_s8": 8, "pcm_16": 16, "pcm_24": 24}.get(self.subtype, 0)
        self._md5 = FlacChecksum(bits) if checksum and container.name == "flac" and bits else None

    @property
    def md5(self) -> bytes:
        return self._md5.digest() if self._md5 else b""

    def seek(self, frame: int) -> None:
        if frame == 0:
            return
        self._md5 = None  # it covers whole files only
        try:
            self._position = self._file.seek(self._safe_place(frame))
        except soundfile.LibsndfileError:  # no seek table, an unknown length, or a place behind the end
            self._file.close()
            self._file, self._position = self._open(), 0
        while self._position < frame and len(self.read(min(frame - self._position, 1 << 18))):
            pass

    def _safe_place(self, frame: int) -> int:
        """Where libsndfile can go; the rest of the way is read. Within the last page of a Vorbis stream it misses by what the
        encoder cut off the end (1.2.2), so that page is entered from the one before."""
        if self.subtype != "vorbis":
            return frame
        place = self._source.file.tell()  # libsndfile goes on reading from here
        frame = min(frame, max(0, last_ogg_page(self._source) - 1))
        self._source.file.seek(place)
        return frame

    def read(self, frames: int) -> np.ndarray:
        buffer = np.empty((0 if self.damage else frames, self.channels), np.int32 if self._md5 else np.float32)
        try:
            block = self._file.read(out=buffer) if len(buffer) else buffer
        except soundfile.LibsndfileError as error:
            self.damage = _reason(error)
            block = self._rescue(buffer)
        self._position += len(block)
        self._source.file.check()
        return self._md5.update(block) if self._md5 else block

    def close(self) -> None:
        self._file.close()

    def _rescue(self, buffer: np.ndarray) -> np.ndarray:
        """What precedes the damage: libsndfile drops the block in which it fails, so this decodes again, in small steps."""
        self._file.close()
        self._file = self._open()
        known, done = self._position, 0
        try:
            while known > 0 and (got := len(self._file.read(out=buffer[:known]))):
                known -= got
            while got := len(self._file.read(out=buffer[done : done + _SMALL_STEP])):
                done += got
        except soundfile.LibsndfileError:
            pass
        return buffer[:done]

    def _open(self) -> _Forward:
        try:
            return _Forward(self._source.rewind(self._container.start), closefd=False)
        except (soundfile.SoundFileError, TypeError) as error:
            self._source.file.check()
            raise self._explain(_reason(error)) from error

    def _explain(self, reason: str) -> AudioError:
        """Why libsndfile refused the header, with the code for it."""
        claim = read_claim(self._source, self._container, None)
        name, kind = self._source.name, self._container.name
        if claim.rate is not None and not 0 < claim.rate < 1 << 31:
            return refusal(name, f"a sampling rate of {claim.rate} Hz in the {kind} header", "E_RATE")
        if any(fault.startswith("W_TRUNCATED") for fault in claim.faults):
            return refusal(name, f"{kind} cut off before its first sample ({reason})", "E_TRUNCATED")
        if "unimplemented" in reason or "not supported" in reason.lower():
            return refusal(name, f"{kind} with a codec that libsndfile does not read; convert it with ffmpeg", "E_UNSUPPORTED")
        return refusal(name, f"a {kind} header that does not hold together ({reason})", "E_HEADER")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return printable(text.removeprefix("Error : ").rstrip(". "))


class FlacChecksum:
    """MD5 of interleaved little-endian integers, beside their conversion to float32."""

    def __init__(self, bits: int) -> None:
        self._bits, self._hash = bits, hashlib.md5(usedforsecurity=False)

    def update(self, block: np.ndarray) -> np.ndarray:
        """Take a block of left-justified int32 in, give it back as float32 in [-1, 1)."""
        width = self._bits // 8
        plain = np.ascontiguousarray((block >> (32 - self._bits)).astype("<i4"))
        self._hash.update(plain.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
        return block.astype(np.float32) * np.float32(2.0**-31)

    def digest(self) -> bytes:
        return self._hash.digest()


class AvDecoder:
    """FFmpeg by PyAV: m4a, aac, webm, amr, FLAC in Ogg. The demuxer is forced, and nothing but the given file can be opened."""

    def __init__(self, source: OpenFile, container: Container) -> None:
        self._source = source
        self._av = _need_av(source, container)
        try:
            self._container = self._av.open(
                Guard(source.file, source.name, container.start),
                format=container.demuxer,
                io_open=_refuse_to_open,
                container_options={"protocol_whitelist": "none", "format_whitelist": container.demuxer},
            )
        except (self._av.FFmpegError, ValueError, OSError) as error:
            source.file.check()
            raise self._broken(container, error) from error
        self.format, self.damage = container.name, ""
        self.md5 = b""
        self._blocks = self._decode(self._audio_stream(source.name))
        first = next(self._blocks, None)  # decoded now: only a frame tells the true rate (HE-AAC doubles it)
        if first is None:
            code = "E_CORRUPT" if self.damage else "E_EMPTY"
            raise refusal(source.name, f"{container.name} holds no sound ({self.damage or 'no frames'})", code)
        self._pending = first
        self.frames = self._promised(container)

    def _audio_stream(self, name: str) -> Any:
        if not self._container.streams.audio:
            raise refusal(name, f"no audio stream (expected {ACCEPTED})", "E_NOT_AUDIO")
        stream = self._container.streams.audio[0]
        if stream.codec_context is None:
            raise refusal(name, "an audio codec that FFmpeg does not know; convert it to wav", "E_UNSUPPORTED")
        self.subtype = stream.codec_context.name
        self.rate = self.channels = 0  # set by the first frame
        return stream

    def _promised(self, container: Container) -> int | None:
        """Frames by the header; only mp4 and webm state a length, for the others FFmpeg guesses."""
        duration = self._container.duration
        return round(duration * self.rate / 1e6) if duration and container.name in ("mp4", "webm") else None

    def _decode(self, stream: Any) -> Iterator[np.ndarray]:
        try:
            for packet in self._container.demux(stream):
                for frame in packet.decode():
                    if not self.rate:
                        self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
                    if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                        self.damage = "the sampling rate or the channels change on the way"
                        return
                    if frame.samples:
                        yield _frame_samples(frame, self._source.name)
        except (self._av.FFmpegError, ValueError, OSError) as error:
            self.damage = printable(getattr(error, "strerror", None) or str(error))

    def seek(self, frame: int) -> None:
        while frame > 0 and len(block := self.read(min(frame, 1 << 16))):
            frame -= len(block)

    def read(self, frames: int) -> np.ndarray:
        parts, missing = [], frames
        while missing > 0:
            if not len(self._pending):
                self._pending = next(self._blocks, self._pending[:0])
                if not len(self._pending):
                    break
            parts.append(self._pending[:missing])
            self._pending = self._pending[missing:]
            missing -= len(parts[-1])
        self._source.file.check()
        return np.concatenate(parts) if parts else np.empty((0, self.channels), np.float32)

    def close(self) -> None:
        self._blocks.close()  # type: ignore[attr-defined]  # a generator
        self._container.close()

    def _broken(self, container: Container, error: Exception) -> AudioError:
        reason = printable(getattr(error, "strerror", None) or str(error))
        hint = "; an mp4 without its index was cut off while recording" if container.name == "mp4" else ""
        return refusal(self._source.name, f"{container.name} that cannot be read ({reason}){hint}", "E_TRUNCATED")


def _need_av(source: OpenFile, container: Container) -> Any:
    try:
        return extras.need("av", extra="audio")
    except ConfigError as error:
        name = printable(source.name)
        way = f"pip install 'voxid[audio]', or convert it: ffmpeg -i '{name}' out.wav"
        raise refusal(source.name, f"{container.name} needs PyAV; {way}", "E_EXTRA") from error


def _refuse_to_open(url: str, flags: int, options: dict[str, Any]) -> Any:
    """FFmpeg asks here for every further file or address that a container names."""
    raise PermissionError(f"refused to open {url!r}")


def _frame_samples(frame: Any, name: str) -> np.ndarray:
    """[T, C] float32 of a decoded frame. Not by its to_ndarray(), which for eight and more channels runs on into pointers that
    are none and ends the process (PyAV 18)."""
    channels, planar, kind = frame.layout.nb_channels, frame.format.is_planar, frame.format.name.removesuffix("p")
    if kind not in _SAMPLE_TYPES or (planar and channels > _MAX_PLANES):
        raise refusal(name, f"{channels} channels of {kind}; at most {_MAX_PLANES} are read here", "E_CHANNELS")
    planes, count = (channels, frame.samples) if planar else (1, frame.samples * channels)
    parts = [np.frombuffer(plane, _SAMPLE_TYPES[kind], count) for plane in frame.planes[:planes]]
    samples = np.stack(parts, axis=1) if planar else parts[0].reshape(-1, channels)
    return to_float(samples)


class ArrayDecoder:
    """A waveform in memory, read as if it were a file."""

    format, subtype, damage, md5 = "array", "float", "", b""

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self._samples, self._position = samples, 0
        self.rate, self.channels = rate, samples.shape[1]
        self.frames: int | None = len(samples)

    def seek(self, frame: int) -> None:
        self._position = frame

    def read(self, frames: int) -> np.ndarray:
        block = self._samples[self._position : self._position + frames].copy()
        self._position += len(block)
        return block

    def close(self) -> None:
        """Nothing is open."""
