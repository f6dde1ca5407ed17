"""Signal-to-noise ratio of a recording, estimated from the recording alone; in dB, higher is better."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from voxid.errors import AudioError

# What the estimate lies within: beyond, it says nothing about a recording of speech.
LOWEST, HIGHEST = -10.0, 60.0
# Seconds of a frame, and the share of frames taken for pauses: with 5 % of them music is judged 8 dB too clean, with 20 % dense
# speech at 30 dB is judged up to 15 dB too noisy.
_FRAME, _PAUSES = 0.025, 0.1
# A frame below this power holds no sound that 16 bits can carry: padding, which is no pause of the recording.
_NOTHING = 2.0**-30


def snr(waveform: ArrayLike, rate: int) -> float:
    """Ratio of the power of the voice to that of the noise in its pauses, -10 ... 60 dB; higher is cleaner.

    The noise is the level that the quietest tenth of the frames (25 ms) stays below, so it must be steady: of noise whose level
    moves, and of music, the loud parts count as voice and the estimate is some dB too high. Frames of digital silence are left
    out. -10 where there is no sound, or less than three frames of it.

    Args:
        waveform: [T], full scale is 1; a constant offset does not matter.
        rate: In Hz.

    Raises:
        AudioError: ``E_SHAPE``, or ``E_NOT_FINITE`` for NaN and infinity.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, 0.01, 48_000)
        >>> tone = np.where(np.arange(48_000) % 16_000 < 8_000, 0.2 * np.sin(np.arange(48_000)), 0)
        >>> round(snr(tone + noise, 16_000))  # power 0.02 half of the time, noise 0.0001
        20
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1:
        raise AudioError(f"expected a waveform [T], got {list(samples.shape)}; take one channel", "E_SHAPE")
    if not np.isfinite(samples).all():
        raise AudioError("the waveform holds NaN or infinity", "E_NOT_FINITE")
    powers = _powers(samples - samples.mean() if samples.size else samples, rate)
    powers = powers[powers > _NOTHING]
    if len(powers) < 3:
        return LOWEST
    noise = float(np.quantile(powers, _PAUSES))
    voice = max(float(powers.mean()) - noise, 1e-20)
    return min(max(10.0 * math.log10(voice / noise), LOWEST), HIGHEST)


def _powers(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean power of frames that overlap by half [N]."""
    half = max(1, round(_FRAME * rate / 2))
    whole = len(samples) // half
    halves = np.square(samples[: whole * half]).reshape(whole, half).mean(axis=1)
    return (halves[1:] + halves[:-1]) / 2
