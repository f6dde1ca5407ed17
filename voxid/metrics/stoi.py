"""Short-time objective intelligibility: how much of the speech in an estimate can be understood."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from voxid.errors import DataError
from voxid.metrics.waveforms import Waveform, items

# The measure is defined at 10 kHz: frames of 25.6 ms, 15 third-octave bands from 150 Hz, segments of 384 ms.
RATE, FRAME, HOP, POINTS, BANDS, LOWEST_CENTRE, SEGMENT = 10_000, 256, 128, 512, 15, 150.0, 30
# Frames this far below the loudest are no speech, and an estimate louder than the target by more than this is clipped, in dB.
SILENT_BELOW, CLIP = 40.0, 15.0
# 31 frames, of which the joining of what is kept loses one: what the shortest segment needs.
SHORTEST = FRAME + SEGMENT * HOP + 1
_BLOCK = 2048  # segments at a time: an hour of speech has 280,000, and each is 15 x 30 numbers
_TINY = float(np.finfo(np.float64).eps)

Compare = Callable[[NDArray, NDArray], float]


def stoi(estimate: Waveform, target: Waveform, rate: int, lengths: Waveform | None = None) -> Tensor:
    """Short-time objective intelligibility, about 0 ... 1; higher is better.

    Mean correlation of the short-time envelopes in third-octave bands. Neither level matters.

    Args:
        estimate, target: Waveforms [..., T] of one shape, at least 0.41 s; tensors or arrays.
        rate: In Hz; another than 10 kHz is resampled to it, as the authors' code does.
        lengths: Samples of each waveform, [...] or its leading axes.

    Returns:
        One float64 value per waveform [...]; 0 for a silent estimate, NaN where `target` is silent or has less than 31 frames
        (0.4 s) within 40 dB of its loudest, or either is not finite.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``, ``E_RATE``, ``E_SHORT``.

    Example:
        >>> speech = np.random.default_rng(0).normal(size=8000) * np.sin(np.arange(8000) / 400)
        >>> round(float(stoi(0.1 * speech, speech, 10_000)), 4)
        1.0

    Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy speech", IEEE TASLP 19(7), 2011.
    """
    return _measure(estimate, target, rate, lengths, _correlation)


def estoi(estimate: Waveform, target: Waveform, rate: int, lengths: Waveform | None = None) -> Tensor:
    """Extended short-time objective intelligibility, about 0 ... 1; higher is better.

    As `stoi`, by the correlation of whole spectra: it also sees noise that comes and goes.

    Args:
        estimate, target: Waveforms [..., T] of one shape, at least 0.41 s; tensors or arrays.
        rate: In Hz; another than 10 kHz is resampled to it, as the authors' code does.
        lengths: Samples of each waveform, [...] or its leading axes.

    Returns:
        One float64 value per waveform [...]; 0 and NaN as `stoi`.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``, ``E_RATE``, ``E_SHORT``.

    Example:
        >>> speech = np.random.default_rng(0).normal(size=8000) * np.sin(np.arange(8000) / 400)
        >>> round(float(estoi(0.1 * speech, speech, 10_000)), 4)
        1.0

    Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by modulated noise maskers", IEEE/ACM
    TASLP 24(11), 2016.
    """
    return _measure(estimate, target, rate, lengths, _spectral_correlation)


def _measure(estimate: Waveform, target: Waveform, rate: int, lengths: Waveform | None, compare: Compare) -> Tensor:
    if isinstance(rate, bool) or rate != int(rate) or rate < 1:
        raise DataError(f"expected a rate in whole Hz, got {rate!r}", "E_RATE")
    values = [_one(ours, theirs, int(rate), compare) for ours, theirs in items(estimate, target, lengths)]
    return torch.tensor(values, dtype=torch.float64).reshape(tuple(target.shape[:-1]))


def _one(estimate: NDArray, target: NDArray, rate: int, compare: Compare) -> float:
    if len(target) * RATE < SHORTEST * rate:
        raise DataError(f"STOI needs {SHORTEST / RATE:.2f} s of sound or more, got {len(target) / rate:.2f} s", "E_SHORT")
    loudest = float(np.abs(target).max()), float(np.abs(estimate).max())
    if not (0 < loudest[0] < np.inf and loudest[1] < np.inf):
        return math.nan
    # At full scale, what guards the divisions below is small at any level.
    ours, theirs = _at_10_khz(estimate / (loudest[1] or 1.0), rate), _at_10_khz(target / loudest[0], rate)
    bands = [_bands(kept) for kept in _without_silence(ours, theirs)]
    if bands[1].shape[1] < SEGMENT:
        return math.nan
    return _mean_over_segments(bands[0], bands[1], compare)


def _mean_over_segments(estimate: NDArray, target: NDArray, compare: Compare) -> float:
    """Mean of `compare` over all segments of SEGMENT frames of the bands [BANDS, N]."""
    ours, theirs = (sliding_window_view(bands, SEGMENT, axis=1).swapaxes(0, 1) for bands in (estimate, target))
    starts = range(0, len(theirs), _BLOCK)
    return sum(compare(ours[start : start + _BLOCK], theirs[start : start + _BLOCK]) for start in starts) / len(theirs)


def _correlation(estimate: NDArray, target: NDArray) -> float:
    """Sum over segments [M, BANDS, SEGMENT] of the mean correlation of the envelopes, the estimate scaled and clipped before."""
    scaled = estimate * (_norm(target, 2) / (_norm(estimate, 2) + _TINY))
    clipped = np.minimum(scaled, target * (1 + 10 ** (CLIP / 20)))
    return float((_normalised(clipped, 2) * _normalised(target, 2)).sum()) / BANDS


def _spectral_correlation(estimate: NDArray, target: NDArray) -> float:
    """Sum over segments [M, BANDS, SEGMENT] of the mean correlation of the spectra, after envelopes of one level in each band."""
    ours, theirs = (_normalised(_normalised(segments, 2), 1) for segments in (estimate, target))
    return float((ours * theirs).sum()) / SEGMENT


def _normalised(values: NDArray, axis: int) -> NDArray:
    centred = values - values.mean(axis=axis, keepdims=True)
    return centred / (_norm(centred, axis) + _TINY)


def _norm(values: NDArray, axis: int) -> NDArray:
    return np.sqrt(np.square(values).sum(axis=axis, keepdims=True))


def _at_10_khz(waveform: NDArray, rate: int) -> NDArray:
    """Resampled with the low-pass filter that GNU Octave takes, as the published figures are: 60 dB, a twentieth of the band."""
    if rate == RATE:
        return waveform
    from scipy.signal import resample_poly  # 0.3 s that the other measures of signals need not wait for

    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    cutoff = 0.5 / max(up, down)
    half = math.ceil((60 - 8) / (28.714 * cutoff / 10))
    shape = np.sinc(2 * cutoff * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, 0.1102 * (60 - 8.7))
    return resample_poly(waveform, up, down, window=shape / shape.sum())


def _frames(waveform: NDArray) -> NDArray:
    """Windowed frames [N, FRAME]; one that ends with the last sample is left out, as in the authors' code."""
    window = np.hanning(FRAME + 2)[1:-1]
    return window * sliding_window_view(waveform, FRAME)[: len(waveform) - FRAME : HOP]


def _without_silence(estimate: NDArray, target: NDArray) -> tuple[NDArray, NDArray]:
    """Both without the frames in which the target is silent: what is left is joined by overlap and add."""
    frames = _frames(estimate), _frames(target)
    levels = np.linalg.norm(frames[1], axis=1)
    kept = levels > levels.max() * 10 ** (-SILENT_BELOW / 20)
    return _joined(frames[0][kept]), _joined(frames[1][kept])


def _joined(frames: NDArray) -> NDArray:
    waveform = np.zeros((len(frames) + 1) * HOP)
    waveform[:-HOP] += frames[:, :HOP].ravel()
    waveform[HOP:] += frames[:, HOP:].ravel()
    return waveform


def _bands(waveform: NDArray) -> NDArray:
    """Magnitudes in third-octave bands [BANDS, N]."""
    if len(waveform) <= FRAME:
        return np.zeros((BANDS, 0))
    power = np.square(np.abs(np.fft.rfft(_frames(waveform), POINTS)))
    edges = LOWEST_CENTRE * 2.0 ** ((2 * np.arange(BANDS + 1) - 1) / 6)
    bins = np.rint(edges * POINTS / RATE).astype(int)
    return np.sqrt(np.stack([power[:, low:high].sum(axis=1) for low, high in pairwise(bins.tolist())]))
