"""Perceptual evaluation of speech quality, by the package `pesq` (the code of the ITU)."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxid.errors import DataError
from voxid.extras import need
from voxid.metrics.waveforms import Waveform, items

BANDS = {"narrow": ("nb", (8000, 16000)), "wide": ("wb", (16000,))}
# Below this the package has no value. Above the other its tables may overflow: they hold 50 utterances, of which one with the
# pause behind it takes 0.4 s or more, and nothing stops at the 51st (four minutes of single words end the process).
SHORTEST, LONGEST = 0.25, 19.0
FOOT = 1.0  # of the scale of opinions


def pesq(estimate: Waveform, target: Waveform, rate: int, lengths: Waveform | None = None, *, band: str = "wide") -> Tensor:
    """Perceptual evaluation of speech quality (MOS-LQO), about 1 ... 4.6; higher is better.

    Narrow band is ITU-T P.862 with the mapping of P.862.1 (1 ... 4.55), wide band P.862.2 (1 ... 4.64): two scales, so say which.

    Args:
        estimate, target: Waveforms [..., T] of one shape, at least 0.25 s; tensors or arrays. A waveform of more than 19 s is
            scored in equal pieces, of which the mean is taken (those without speech left out).
        rate: 8000 (narrow band only) or 16000 Hz.
        lengths: Samples of each waveform, [...] or its leading axes.
        band: "wide" or "narrow".

    Returns:
        One float64 value per waveform [...]; 1 for an estimate that is silent, NaN where `target` is silent or holds no
        utterance, or either is not finite.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``, ``E_RATE``, ``E_BAND``, ``E_SHORT``.
        ConfigError: ``E_EXTRA``, the package is missing: ``pip install 'voxid[signal]'``.

    ITU-T recommendations P.862 (2001), P.862.1 (2003) and P.862.2 (2007).
    """
    if band not in BANDS:
        raise DataError(f"PESQ has the bands 'wide' and 'narrow', got {band!r}", "E_BAND")
    mode, rates = BANDS[band]
    if rate not in rates:
        accepted = " or ".join(f"{each} Hz" for each in rates)
        raise DataError(f"PESQ, {band} band, takes {accepted}, got {rate}; resample with voxid.audio.io.resample", "E_RATE")
    package = need("pesq", extra="signal")
    values = [_one(package, ours, theirs, rate, mode) for ours, theirs in items(estimate, target, lengths)]
    return torch.tensor(values, dtype=torch.float64).reshape(tuple(target.shape[:-1]))


def _one(package: ModuleType, estimate: NDArray, target: NDArray, rate: int, mode: str) -> float:
    if len(target) < SHORTEST * rate:
        raise DataError(f"PESQ needs {SHORTEST} s of sound or more, got {len(target) / rate:.3f} s", "E_SHORT")
    pieces = math.ceil(len(target) / (LONGEST * rate))
    pairs = zip(np.array_split(estimate, pieces), np.array_split(target, pieces), strict=True)
    values = np.array([_piece(package, ours, theirs, rate, mode) for ours, theirs in pairs])
    heard = values[~np.isnan(values)]
    finite = np.isfinite(estimate).all() and np.isfinite(target).all()
    return float(heard.mean()) if finite and len(heard) else math.nan


def _piece(package: ModuleType, estimate: NDArray, target: NDArray, rate: int, mode: str) -> float:
    loudest = np.abs(target).max(), np.abs(estimate).max()
    if not (0 < loudest[0] < np.inf and loudest[1] < np.inf):
        return math.nan
    if not loudest[1]:
        return FOOT  # of which the package divides zero by zero
    try:
        return float(package.pesq(rate, target, estimate, mode))
    except package.NoUtterancesError:
        return math.nan
