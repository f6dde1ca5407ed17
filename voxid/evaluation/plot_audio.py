"""Recordings -> figures: waveform, spectrogram, its surface, and enhancement before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxid.audio.io import Recording, load
from voxid.audio.source import AudioLike
from voxid.evaluation.plotted import DPI, Plotted, check_output, written
from voxid.plots import enhancement, signal
from voxid.plots.signal import RANGE


def plot_waveform(
    audio: AudioLike,
    *,
    output: str | Path,
    labels: Sequence[str] = (),
    offset: float = 0.0,
    duration: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Amplitude over time, a panel a channel.

    Args:
        audio: The recording.
        output: The file to write: .png, .svg or .pdf.
        labels: Names of the channels.
        offset, duration: The part to draw, in seconds.
        title: Above the figure; by default the name of the recording.
        dpi: Pixels an inch.

    Raises:
        AudioError: A recording that cannot be read.
    """
    check_output(output, dpi)
    sound = load(audio, sample_rate=None, channel="all", offset=offset, duration=duration)
    figure = signal.waveform(sound.waveform, sound.rate, labels=labels, title=title or _name(sound))
    return written("waveform", figure, output, dpi)


def plot_spectrogram(
    audio: AudioLike,
    *,
    output: str | Path,
    max_frequency: float | None = None,
    dynamic_range: float = RANGE,
    offset: float = 0.0,
    duration: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Level in dBFS over time and frequency.

    Args:
        audio: The recording; of several channels, the first.
        max_frequency: Where the figure ends, in Hz.
        dynamic_range: Decibels below the loudest point that the colours tell apart.
        output, offset, duration, title, dpi: As of `plot_waveform`.
    """
    check_output(output, dpi)
    sound = load(audio, sample_rate=None, offset=offset, duration=duration)
    options: dict[str, Any] = {"max_frequency": max_frequency, "dynamic_range": dynamic_range, "title": title or _name(sound)}
    return written("spectrogram", signal.spectrogram(sound.waveform, sound.rate, **options), output, dpi)


def plot_spectrogram_3d(
    audio: AudioLike,
    *,
    output: str | Path,
    max_frequency: float | None = None,
    dynamic_range: float = RANGE,
    offset: float = 0.0,
    duration: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Level in dBFS as a surface over time and frequency; arguments as of `plot_spectrogram`."""
    check_output(output, dpi)
    sound = load(audio, sample_rate=None, offset=offset, duration=duration)
    options: dict[str, Any] = {"max_frequency": max_frequency, "dynamic_range": dynamic_range, "title": title or _name(sound)}
    return written("spectrogram_3d", signal.spectrogram_3d(sound.waveform, sound.rate, **options), output, dpi)


def plot_enhancement(
    before: AudioLike,
    after: AudioLike,
    *,
    output: str | Path,
    labels: Sequence[str] = (),
    max_frequency: float | None = None,
    dynamic_range: float = RANGE,
    offset: float = 0.0,
    duration: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Waveforms and spectrograms of two recordings side by side, on one scale.

    Args:
        before, after: The recordings; the second is brought to the rate of the first.
        labels: Names of the two.
        output, max_frequency, dynamic_range, offset, duration, title, dpi: As of `plot_spectrogram`.
    """
    check_output(output, dpi)
    first = load(before, sample_rate=None, offset=offset, duration=duration)
    second = load(after, sample_rate=first.rate, offset=offset, duration=duration)
    figure = enhancement.enhancement(
        first.waveform,
        second.waveform,
        first.rate,
        labels=labels or (f"before: {_name(first)}", f"after: {_name(second)}"),
        max_frequency=max_frequency,
        dynamic_range=dynamic_range,
        title=title,
    )
    return written("enhancement", figure, output, dpi)


def _name(sound: Recording) -> str:
    return Path(sound.name).name
