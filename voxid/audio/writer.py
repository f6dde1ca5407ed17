"""Writing audio, whole or block by block: beside its place, then put there in one step, so that nobody sees half a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from voxid.atomic import replacing
from voxid.audio.headers import ogg_checksum
from voxid.audio.source import from_pair, printable, refusal
from voxid.errors import AudioError

# Suffix -> libsndfile's format, and the codec used when none is named.
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
}
# What the 32-bit sizes in WAV and AIFF can say, with room for their headers.
_MOST_BYTES = 2**32 - 2**16


def save(path: str | bytes | os.PathLike[Any], waveform: np.ndarray, rate: int, *, subtype: str | None = None) -> int:
    """Write a waveform to a file that is whole or not there; an older file stays until the new one is complete.

    Args:
        path: Its suffix chooses the format: .wav .flac .ogg .opus .mp3 .aiff.
        waveform: [T] or [C, T], finite.
        rate: In Hz.
        subtype: Codec by libsndfile's name, e.g. ``"FLOAT"`` or ``"PCM_24"``; 16 bits, Vorbis, Opus or MP3 when None.

    Returns:
        How many samples were outside [-1, 1] and had to be clipped; float codecs clip none.

    Raises:
        AudioError: An unknown suffix or codec (E_UNSUPPORTED), a rate that the codec refuses, samples that are not finite
            (E_NONFINITE), a full disk (E_DISK_FULL), or another obstacle (E_WRITE).
    """
    check_format(path)
    samples, whole_rate = from_pair((np.asarray(waveform), rate))
    with open_writer(path, whole_rate, samples.shape[1], subtype=subtype) as writer:
        writer.write(samples.T)
    return writer.clipped


@contextmanager
def open_writer(
    path: str | bytes | os.PathLike[Any], rate: int, channels: int = 1, *, subtype: str | None = None
) -> Iterator[Writer]:
    """A file to write block by block; it is in its place when the ``with`` block ends without an error, and else not at all.

    Memory does not grow with the recording. What is not audio's fault is said before the first block: the suffix, the codec, a
    folder that is not there.

    Args:
        path, rate, subtype: As in `save`.
        channels: How many.

    Raises:
        AudioError: As in `save`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open_writer(f"{folder}/a.wav", 16000) as writer:
        ...         for block in np.zeros((5, 1600), np.float32):
        ...             writer.write(block)
        ...     writer.seconds, os.listdir(folder)
        (0.5, ['a.wav'])
    """
    name, (kind, usual) = os.fsdecode(path), check_format(path)
    target = Path(os.path.realpath(name))  # through a link, not over it
    # Not Path.exists(): it raises on a name that is too long.
    if os.path.exists(target) and not os.path.isfile(target):  # noqa: PTH110, PTH113
        raise refusal(name, "not written: what has this name is not a regular file", "E_NOT_FILE")
    try:
        with replacing(target, AudioError) as draft, draft.open("w+b") as file:
            sink = _Sink(file, _MOST_BYTES if kind in ("WAV", "AIFF") else None)
            writer = Writer(name, sink, rate, channels, kind, (subtype or usual).upper())
            try:
                yield writer
            finally:
                writer.close()
            sink.check(name)
            _take_chance(file, kind)
    except AudioError as error:
        raise AudioError(printable(str(error)), error.code) from error


def check_format(path: str | bytes | os.PathLike[Any], subtype: str | None = None) -> tuple[str, str]:
    """libsndfile's format of a file to be written, and the usual codec; raises E_UNSUPPORTED for another suffix or `subtype`."""
    name = os.fsdecode(path)
    suffix = Path(name).suffix.lower()
    if suffix not in FORMATS:
        what = suffix or "a file without a suffix"
        raise refusal(name, f"cannot write {what}; accepted: {', '.join(FORMATS)}", "E_UNSUPPORTED")
    kind, usual = FORMATS[suffix]
    if subtype is not None and not soundfile.check_format(kind, subtype.upper()):
        known = ", ".join(soundfile.available_subtypes(kind))
        raise refusal(name, f"{kind} has no codec {subtype}; accepted: {known}", "E_UNSUPPORTED")
    return kind, usual


class Writer:
    """An open file of `open_writer`.

    Attributes:
        clipped: Samples outside [-1, 1] so far, which were clipped; float codecs clip none.
        rate: In Hz.
        channels: How many.
    """

    def __init__(self, name: str, sink: _Sink, rate: int, channels: int, kind: str, codec: str) -> None:
        self.rate, self.channels, self.clipped = rate, channels, 0
        self._name, self._sink, self._what = name, sink, f"{kind} with {codec}"
        self._samples, self._float = 0, codec in ("FLOAT", "DOUBLE")
        try:
            self._file = soundfile.SoundFile(sink, "w", rate, channels, codec, format=kind)
        except (soundfile.SoundFileError, ValueError, TypeError) as error:
            raise self._refused(error) from error

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self._samples / self.rate

    def write(self, block: np.ndarray) -> None:
        """Append samples [T] or [C, T].

        Raises:
            AudioError: ``E_NONFINITE``, ``E_SHAPE``, ``E_DISK_FULL``, ``E_WRITE``; ``E_TOO_LONG`` beyond the 4 GB of a WAV.
        """
        frames = np.atleast_2d(block).T
        if frames.shape[1] != self.channels:
            raise refusal(self._name, f"a block {list(block.shape)} for a file of {self.channels} channels", "E_SHAPE")
        if not np.isfinite(frames).all():
            raise refusal(self._name, "not written: the waveform holds NaN or infinite samples", "E_NONFINITE")
        # In pieces of 10 s: libsndfile overruns its stack on one long write of Vorbis.
        for start in range(0, len(frames), 10 * self.rate):
            self._put(np.ascontiguousarray(frames[start : start + 10 * self.rate]))
        self._samples += len(frames)
        self.clipped += 0 if self._float else int((np.abs(frames) > 1).sum())

    def close(self) -> None:
        """End the stream; `open_writer` does it."""
        try:
            self._file.close()
        except soundfile.SoundFileError as error:  # what it still had to write
            self._sink.check(self._name)
            raise self._refused(error) from error

    def _put(self, frames: np.ndarray) -> None:
        try:
            self._file.write(frames)
        except (soundfile.SoundFileError, AssertionError) as error:
            self._sink.check(self._name)
            raise self._refused(error) from error
        self._sink.check(self._name)

    def _refused(self, error: Exception) -> AudioError:
        what = f"{self._what} does not take {self.channels} x {self.rate} Hz"
        return refusal(self._name, f"{what} ({getattr(error, 'error_string', error)})", "E_UNSUPPORTED")


class _Sink:
    """The file behind libsndfile: what writing raises is kept, for an exception must not cross a C library.

    Args:
        file: Open for reading and writing.
        most: Bytes that its format can hold; None = any number.
    """

    def __init__(self, file: BinaryIO, most: int | None) -> None:
        self._file, self._most = file, most
        self._error: OSError | None = None
        self._full = False

    def write(self, data: bytes) -> int:
        if self._error is not None or self._full:
            return 0
        if self._most is not None and self._file.tell() + len(data) > self._most:
            self._full = True
            return 0
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = error
            return 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # what was buffered goes to the disk first
            self._error = self._error or error
            return -1

    def tell(self) -> int:
        return self._file.tell()

    def check(self, name: str) -> None:
        """Raise what writing raised, for `replacing` to put into words."""
        if self._full:
            raise refusal(name, "longer than the 4 GB that its format holds; write .flac or .ogg, or cut it", "E_TOO_LONG")
        if self._error is not None:
            raise self._error


def _take_chance(file: BinaryIO, kind: str) -> None:
    """The same input gives the same bytes: the time stamp of a PEAK chunk and the random serial number of an Ogg stream go."""
    if kind == "OGG":
        _pin_serial(file)
    elif kind in ("WAV", "AIFF"):
        file.seek(0)
        place = file.read(512).find(b"PEAK")
        if place >= 0:
            file.seek(place + 12)
            file.write(bytes(4))


def _pin_serial(file: BinaryIO) -> None:
    place = 0
    while True:
        file.seek(place)
        head = file.read(27 + 255)
        if len(head) < 27:
            return
        length = 27 + head[26] + sum(head[27 : 27 + head[26]])
        body = head[:length] + file.read(max(0, length - len(head)))
        page = body[:14] + b"vxid" + body[18:]
        file.seek(place)
        file.write(page[:22] + ogg_checksum(page) + page[26:])
        place += length
