"""Writing audio: encoded in memory, then put in place in one step, so that no reader ever sees half a file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from voxid.atomic import replacing
from voxid.audio.headers import ogg_checksum
from voxid.audio.source import from_pair, printable, refusal
from voxid.errors import AudioError

# Suffix -> libsndfile's format, and the codec used when none is named.
_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
}


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
    name = os.fsdecode(path)
    suffix = Path(name).suffix.lower()
    if suffix not in _FORMATS:
        what = suffix or "a file without a suffix"
        raise refusal(name, f"cannot write {what}; accepted: {', '.join(_FORMATS)}", "E_UNSUPPORTED")
    kind, usual = _FORMATS[suffix]
    codec = (subtype or usual).upper()
    samples, whole_rate = from_pair((np.asarray(waveform), rate))
    if not np.isfinite(samples).all():
        raise refusal(name, "not written: the waveform holds NaN or infinite samples", "E_NONFINITE")
    _put(name, _encode(name, samples, whole_rate, kind, codec))
    return 0 if codec in ("FLOAT", "DOUBLE") else int((np.abs(samples) > 1).sum())


def _encode(name: str, samples: np.ndarray, rate: int, kind: str, codec: str) -> bytes:
    """The bytes of the file. In blocks of 10 s: libsndfile overruns its stack on one long write of Vorbis."""
    target = io.BytesIO()
    try:
        with soundfile.SoundFile(target, "w", rate, samples.shape[1], codec, format=kind) as file:
            for start in range(0, len(samples), 10 * rate):
                file.write(np.ascontiguousarray(samples[start : start + 10 * rate]))
    except (soundfile.SoundFileError, ValueError, TypeError, AssertionError) as error:
        what = f"{kind} with {codec} does not take {samples.shape[1]} x {rate} Hz"
        raise refusal(name, f"{what} ({getattr(error, 'error_string', error)})", "E_UNSUPPORTED") from error
    return _without_chance(target.getvalue(), kind)


def _without_chance(data: bytes, kind: str) -> bytes:
    """The same input gives the same bytes: the time stamp of a PEAK chunk and the random serial number of an Ogg stream go."""
    if kind == "OGG":
        return _pin_serial(data)
    place = data.find(b"PEAK", 0, 512) if kind in ("WAV", "AIFF") else -1
    return data if place < 0 else data[: place + 12] + bytes(4) + data[place + 16 :]


def _pin_serial(data: bytes) -> bytes:
    pages, place = [], 0
    while place < len(data):
        segments = data[place + 26]
        end = place + 27 + segments + sum(data[place + 27 : place + 27 + segments])
        page = data[place : place + 14] + b"vxid" + data[place + 18 : end]
        pages.append(page[:22] + ogg_checksum(page) + page[26:])
        place = end
    return b"".join(pages)


def _put(name: str, data: bytes) -> None:
    target = Path(os.path.realpath(name))  # through a link, not over it
    if target.exists() and not target.is_file():
        raise refusal(name, "not written: what has this name is not a regular file", "E_NOT_FILE")
    try:
        with replacing(target, AudioError) as draft:
            draft.write_bytes(data)
    except AudioError as error:
        raise AudioError(printable(str(error)), error.code) from error
