"""Loudness, clipping, and whether anything in a recording could be a voice; measured block by block in bounded memory."""

from __future__ import annotations

import math

import numpy as np

# Seconds of one frame; a voice needs three of them within 40 dB of the loudest, a click has one or two.
_FRAME = 0.025
_MIN_ACTIVE = 3
# A signal that never leaves one step of 16 bits around its middle is rounding or dither.
_SILENT = 2.0**-14
# The spectrum of a long recording is taken from one frame in so many, to keep up with the decoders.
_FRAMES, _STRIDE = 400, 8
# A steady sound varies by less than 2 dB from frame to frame (white noise 0.3, a tone 0); speech varies by 10 and more.
_STEADY_DB = 2.0
# Flatness of the mean spectrum above which it is noise (white 0.9 and more, speech under 0.3), and the share of the power in
# five neighbouring bins above which it is one tone.
_FLAT, _TONE = 0.6, 0.95
# A sample this near to full scale counts as clipped: 127/128, the top of 8 bits.
_CLIPPED = 0.99


class Meter:
    """Takes blocks of a recording and sums them up.

    Args:
        rate: Sampling rate in Hz.
        channels: Levels are taken over all of them, the evidence of a voice over each.

    Example:
        >>> meter = Meter(8000, 1)
        >>> meter.add(np.zeros((1, 8000), np.float32))
        >>> meter.voiceless()
        'silent'
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._size = max(8, round(_FRAME * rate))
        self._window = np.hanning(self._size).astype(np.float32)
        self._rest = np.zeros((channels, 0), np.float32)
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._levels: list[np.ndarray] = []  # of each frame: its energy without the mean, [C, N]
        self._spectrum = np.zeros((channels, self._size // 2 + 1))
        self._count = self._clipped = 0
        self._power = 0.0
        self.peak = 0.0

    @property
    def rms_db(self) -> float:
        """Root mean square over all channels in dB under full scale; -200 for silence."""
        return 10.0 * math.log10(max(self._power / max(self._count, 1), 1e-20))

    @property
    def clipping(self) -> float:
        """Share of samples at full scale, 0 to 1."""
        return self._clipped / max(self._count, 1)

    def add(self, block: np.ndarray) -> None:
        """Take the next block [C, T]."""
        self._low, self._high = np.minimum(self._low, block.min(axis=1)), np.maximum(self._high, block.max(axis=1))
        self.peak = float(max(self._high.max(), -self._low.min()))
        self._count += block.size
        if self.peak >= _CLIPPED:
            self._clipped += int(np.count_nonzero(np.abs(block) >= _CLIPPED))
        self._power += sum(float(np.dot(row, row)) for row in block)
        waiting = np.concatenate([self._rest, block], axis=1)
        whole = waiting.shape[1] // self._size * self._size
        self._rest = waiting[:, whole:]
        if whole:
            self._add_frames(waiting[:, :whole].reshape(len(block), -1, self._size))

    def _add_frames(self, frames: np.ndarray) -> None:
        frames = frames - frames.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
        self._levels.append(np.einsum("cnt,cnt->cn", frames, frames))
        sample = frames[:, :: 1 if frames.shape[1] < _FRAMES else _STRIDE]
        self._spectrum += np.square(np.abs(np.fft.rfft(sample * self._window))).sum(axis=1, dtype=np.float64)

    def voiceless(self) -> str:
        """Why no voice can be in it, or "" when one may be: silence, a click, even noise and a bare tone are told apart, no more.

        A recording with several channels is voiceless when all of them are.
        """
        levels = np.concatenate([self._rest[:, :0], *self._levels], axis=1)
        moving = self._high - self._low > _SILENT
        reasons = [
            _voiceless(level, spectrum) if moves else "silent"
            for level, spectrum, moves in zip(levels, self._spectrum, moving, strict=True)
        ]
        return reasons[0] if all(reasons) else ""


def _voiceless(levels: np.ndarray, spectrum: np.ndarray) -> str:
    """One channel: energy of each frame [N] and their summed power spectrum [F]."""
    active = levels[levels > 1e-4 * levels.max(initial=0.0)]
    if len(active) < _MIN_ACTIVE:
        return "nothing longer than a click"
    if np.std(10.0 * np.log10(active)) > _STEADY_DB:
        return ""
    inner = spectrum[2:-1] + 1e-30  # without the mean, that the frames lost, and the last bin, that a filter may have taken
    if np.exp(np.log(inner).mean()) / inner.mean() > _FLAT:
        return "only even noise"
    best = np.convolve(spectrum, np.ones(5), "same").max() / spectrum.sum()
    return "only a steady tone" if best > _TONE else ""
