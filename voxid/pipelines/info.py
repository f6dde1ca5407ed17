"""info: what is in a recording, measured by decoding all of it, and whether a voice can be in it."""

from __future__ import annotations

from dataclasses import dataclass

from voxid.audio import io
from voxid.audio.io import AudioLike, Facts, Limits
from voxid.audio.quality import Meter
from voxid.audio.source import refusal

# Seconds: shorter is no use to any model (E_TOO_SHORT), shorter is thin evidence (W_SHORT).
SHORTEST, SHORT = 0.1, 0.5
# Speech below this level, in dB under full scale, was recorded with the wrong gain.
QUIET_DB = -60.0
# A larger share of samples at full scale is heard as distortion.
CLIPPING = 0.001


@dataclass(frozen=True)
class AudioInfo:
    """What a recording holds.

    Args:
        path: As given.
        format, subtype: Container and codec.
        rate: Sampling rate in Hz.
        channels: How many channels.
        duration: Measured, in seconds.
        declared_duration: What the header promises, in seconds; None when it does not say.
        peak: Largest absolute sample; full scale is 1.
        rms_db: Level over all channels, in dB under full scale; -200 for silence.
        clipping: Share of samples at full scale.
        warnings: Each ``"W_CODE: text"``.
    """

    path: str
    format: str
    subtype: str
    rate: int
    channels: int
    duration: float
    declared_duration: float | None
    peak: float
    rms_db: float
    clipping: float
    warnings: tuple[str, ...]


def info(audio: AudioLike, *, speech: bool = True, max_duration: float = 3600.0, strict: bool = False) -> AudioInfo:
    """Decode a recording from end to end, in bounded memory, and say what is in it.

    Args:
        audio: A path, a binary file object, or a pair ``(waveform, rate)``.
        speech: Refuse what cannot hold a voice: shorter than 0.1 s (E_TOO_SHORT), silence, a click, even noise or a bare tone
            (E_NO_SPEECH). Anything else passes: this is no speech detector.
        max_duration: Longest recording to accept, in seconds.
        strict: Refuse whatever deserves a warning.

    Raises:
        AudioError: Not readable, not audio, empty, not finite, too long, or of no use as speech; docs/audio.md lists the codes.

    Example:
        >>> import numpy as np
        >>> found = info((np.sin(np.arange(8000) ** 2 / 5000), 16000))
        >>> found.duration, round(found.rms_db)
        (0.5, -3)
    """
    limits = Limits(duration=max_duration)
    with io.stream(audio, sample_rate=None, channel="all", limits=limits, checksum=True) as reader:
        meter = Meter(reader.facts.rate, reader.facts.channels)
        for block in reader:
            meter.add(block)
    warnings = (*reader.warnings, *reader.channel_remark, *_remarks(meter, reader.duration))
    if speech:
        _check_speech(reader.facts, meter, reader.duration)
    if strict and warnings:
        code, text = warnings[0].split(": ", 1)
        raise refusal(reader.facts.name, f"{text} (refused because strict)", code.replace("W_", "E_", 1))
    return _summary(reader.facts, meter, reader.duration, warnings)


def _remarks(meter: Meter, duration: float) -> list[str]:
    remarks = []
    if duration < SHORT:
        remarks.append(f"W_SHORT: {duration:.2f} s is little to know a voice by")
    if meter.rms_db < QUIET_DB:
        remarks.append(f"W_QUIET: {meter.rms_db:.0f} dB under full scale on average")
    if meter.clipping > CLIPPING and meter.peak < 2:  # above that it is the scale that is wrong
        remarks.append(f"W_CLIPPED: {100 * meter.clipping:.1f} % of the samples are at full scale")
    return remarks


def _check_speech(facts: Facts, meter: Meter, duration: float) -> None:
    if duration < SHORTEST:
        raise refusal(facts.name, f"{duration:.3f} s of audio, at least {SHORTEST} s are needed", "E_TOO_SHORT")
    if reason := meter.voiceless():
        raise refusal(facts.name, f"no speech: {reason}; for the figures all the same: speech=False, --no-speech", "E_NO_SPEECH")


def _summary(facts: Facts, meter: Meter, duration: float, warnings: tuple[str, ...]) -> AudioInfo:
    return AudioInfo(
        path=facts.name,
        format=facts.format,
        subtype=facts.subtype,
        rate=facts.rate,
        channels=facts.channels,
        duration=duration,
        declared_duration=facts.declared_duration,
        peak=meter.peak,
        rms_db=meter.rms_db,
        clipping=meter.clipping,
        warnings=warnings,
    )
