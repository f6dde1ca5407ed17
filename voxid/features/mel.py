"""Mel filters, as plain numpy: made once, when a front-end is built."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def hz_to_mel(hz: Array, scale: str = "htk") -> Array:
    """Frequencies in mel; `scale` is "htk" (logarithmic), "slaney" (straight up to 1 kHz, logarithmic above) or "linear" (Hz).

    O'Shaughnessy, "Speech communication", 1987 (htk); Slaney, "Auditory toolbox", 1998.
    """
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "linear":
        return hz
    if scale == "htk":
        return 1127.0 * np.log1p(hz / 700.0)
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4))


def mel_to_hz(mel: Array, scale: str = "htk") -> Array:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "linear":
        return mel
    if scale == "htk":
        return 700.0 * np.expm1(mel / 1127.0)
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((np.maximum(mel, 15.0) - 15) * np.log(6.4) / 27))


def mel_filters(
    num_bins: int,
    n_fft: int,
    sample_rate: int,
    low: float,
    high: float,
    *,
    scale: str = "htk",
    shape: str = "mel",
    norm: str = "none",
) -> Array:
    """Triangular filters [num_bins, n_fft // 2 + 1], spaced evenly in mel from `low` to `high` Hz.

    Args:
        num_bins: Filters.
        n_fft: Points of the Fourier transform.
        sample_rate: In Hz.
        low, high: In Hz.
        scale: "htk", "slaney" or "linear".
        shape: "mel" = sides straight on the mel axis (Kaldi), "hz" = straight on the Hz axis (torchaudio, librosa),
            "symmetric" = as "hz", and as wide on the right as on the left (SpeechBrain).
        norm: "none" = height 1, "slaney" = area 1 over Hz.

    A filter narrower than the distance of two Fourier bins may be empty: all zeros.

    Example:
        >>> mel_filters(2, 8, 8000, 0, 4000, shape="hz").shape
        (2, 5)
    """
    edges = np.linspace(hz_to_mel(np.array(low), scale), hz_to_mel(np.array(high), scale), num_bins + 2)
    hertz = mel_to_hz(edges, scale)
    axis = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    if shape == "mel":
        axis = hz_to_mel(axis, scale)
    else:
        edges = hertz
    left, center, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    if shape == "symmetric":
        right = 2 * center - left
    filters = np.maximum(0.0, np.minimum((axis - left) / (center - left), (right - axis) / (right - center)))
    if norm == "slaney":
        filters *= 2.0 / (hertz[2:] - hertz[:-2])[:, None]
    return filters
