"""Waveform -> levels by time and frequency in dBFS, of any length in bounded memory: what the spectrogram figures draw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError

WINDOW, HOP = 0.025, 0.010  # in seconds, as the front-ends have it
LOWEST_TOP = 100.0  # Hz: below, a figure would hold next to no bins
COLUMNS = 1200  # more than the pixels of a figure
FRAMES = 4096  # that go through the transform at a time
SILENCE = 1e-6  # amplitude below which nothing is told apart: -120 dBFS


class Spectrum(NamedTuple):
    """Levels [F, N] in dBFS, where a sine of full scale is 0; the centres of bins [F] in Hz and of columns [N] in seconds."""

    levels: NDArray
    frequencies: NDArray
    seconds: NDArray


def spectrum(samples: ArrayLike, rate: int, *, columns: int = COLUMNS) -> Spectrum:
    """Short-time spectrum of a waveform [T], Hann windows of 25 ms every 10 ms.

    Args:
        samples: Finite, [T], or [C, T], of which the first channel counts; shorter than two windows, it is padded with zeros.
        rate: In Hz.
        columns: At most; the power of neighbouring frames is averaged where there are more.

    Example:
        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
        >>> made = spectrum(tone, 8000)
        >>> float(made.frequencies[made.levels[:, 5].argmax()]), round(float(made.levels.max()))
        (1000.0, 0)
    """
    values = np.atleast_2d(checked(samples, rate))[0]
    size, hop = max(2, round(WINDOW * rate)), max(1, round(HOP * rate))
    values = np.pad(values, (0, max(0, size + hop - len(values))))
    frames = np.lib.stride_tricks.sliding_window_view(values, size)[::hop]
    group = -(-len(frames) // columns)
    window = np.hanning(size + 1)[:-1]
    points = 1 << (size - 1).bit_length()
    step = max(1, FRAMES // group) * group
    parts = [_mean_power(frames[first : first + step] * window, points, group) for first in range(0, len(frames), step)]
    amplitude = np.sqrt(np.concatenate(parts)) * (2 / window.sum())
    levels = (20 * np.log10(np.maximum(amplitude, SILENCE))).astype(np.float32)
    seconds = ((np.arange(len(levels)) + 0.5) * group - 0.5) * hop / rate + size / rate / 2
    return Spectrum(levels.T, np.fft.rfftfreq(points, 1 / rate), seconds)


def _mean_power(frames: NDArray, points: int, group: int) -> NDArray:
    """Power [columns, F] of windowed frames [M, size], the mean over each `group` of them."""
    power = np.abs(np.fft.rfft(frames, points)) ** 2
    starts = np.arange(0, len(power), group)
    counts = np.diff(np.append(starts, len(power)))
    return np.add.reduceat(power, starts) / counts[:, None]


def checked(samples: ArrayLike, rate: int) -> NDArray:
    """The waveform [T] or [C, T] as an array.

    Raises:
        DataError: ``E_SHAPE``, or ``E_NOT_FINITE``.
        ConfigError: A rate that is none.
    """
    values = np.asarray(samples)
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind != "f":
        what = f"{values.dtype} {list(values.shape)}"
        raise DataError(f"expected a waveform [T] or [C, T] of floats, full scale 1, with samples in it, got {what}", "E_SHAPE")
    values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise DataError("the waveform holds NaN or infinity", "E_NOT_FINITE")
    if not rate > 0:
        raise ConfigError(f"a sampling rate is a number above 0 in Hz, got {rate}")
    return values


def highest(max_frequency: float | None, rate: int) -> float:
    """Frequency in Hz that a figure ends at: half the rate, or less where asked.

    Raises:
        ConfigError: A frequency that the rate does not hold.
    """
    if max_frequency is None:
        return rate / 2
    if not LOWEST_TOP <= max_frequency <= rate / 2:
        raise ConfigError(
            f"max_frequency lies within {LOWEST_TOP:g} ... {rate / 2:g} Hz at a rate of {rate} Hz, got {max_frequency:g}"
        )
    return max_frequency
