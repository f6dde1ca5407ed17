"""A recording of any length through a net that hears whole waveforms: in windows that overlap, joined without a seam."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError

# Overlap against window at most: what is heard twice costs time twice.
MOST_OVERLAP = 0.5
# Seconds: shorter windows are no use to any net.
SHORTEST = 0.5

Run = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


def windowed(
    blocks: Iterable[NDArray[np.float32]], run: Run, *, size: int, overlap: int, grain: int = 1
) -> Iterator[NDArray[np.float32]]:
    """What `run` makes of each window, cross-faded where two windows overlap; as long as the blocks together, in bounded memory.

    The weights of two windows are halves of a raised cosine and add up to 1 at each sample, and they are next to 0 where a window
    begins or ends: there a net lacks the sound on one side.

    Args:
        blocks: What comes in, [C, n] each.
        run: (window [C, T], samples that it shares with the window before it) -> rows [R, T]. 0 are shared by the first one.
        size, overlap, grain: As in `cut`.

    Yields:
        Rows [R, n].

    Example:
        >>> blocks = np.ones((7, 1, 10), np.float32)
        >>> np.concatenate(list(windowed(blocks, lambda window, shared: 2 * window, size=20, overlap=4)), axis=1).shape
        (1, 70)
    """
    fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap, dtype=np.float32) + 0.5) / max(1, overlap))
    tail = None
    for window, last in cut(blocks, size, overlap, grain):
        rows = run(window, 0 if tail is None else overlap)
        if tail is not None and overlap:
            rows = np.concatenate([tail + (rows[:, :overlap] - tail) * fade, rows[:, overlap:]], axis=1)
        ready = rows.shape[1] - (0 if last else overlap)
        yield rows[:, :ready]
        tail = rows[:, ready:].copy()


def cut(
    blocks: Iterable[NDArray[np.float32]], size: int, overlap: int, grain: int = 1
) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Windows [C, T] of blocks [C, n], each with whether it is the last one; the next begins `overlap` samples before its end.

    What fits into one window is one window. Otherwise all have `size` samples but the last one or, where that would be shorter
    than half of one, the last two, which share what is left.

    Args:
        blocks: What comes in, of any sizes.
        size: Samples of a window.
        overlap: Samples that two neighbours share, half of a window at most.
        grain: Windows begin at multiples of it, as far as `size` and `overlap` are multiples.

    Example:
        >>> blocks = np.zeros((27, 1, 10), np.float32)
        >>> [window.shape[1] for window, _ in cut(blocks, 100, 8)], [window.shape[1] for window, _ in cut(blocks[:12], 100, 8)]
        ([100, 100, 86], [64, 64])
    """
    held: NDArray[np.float32] | None = None
    enough = size + size // 2 - overlap
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= enough and held.shape[1] > size:
            yield held[:, :size], False
            held = held[:, size - overlap :]
    if held is None:
        return
    if (left := held.shape[1]) > size:
        first = math.ceil((left + overlap) / 2 / grain) * grain
        yield held[:, :first], False
        held = held[:, first - overlap :]
    yield held, True


def sizes(window: float, overlap: float, rate: int, net_rate: int) -> tuple[int, int, int]:
    """`size`, `overlap` and `grain` of `cut` in samples, for seconds of a recording at `rate` that a net hears at `net_rate`.

    Both are whole samples at either rate, wherever 50 ms hold such a number.

    Raises:
        ConfigError: Seconds that make no windows.

    Example:
        >>> sizes(10.0, 0.8, 44100, 16000)
        (441000, 35280, 441)
    """
    if not SHORTEST <= window < math.inf:
        raise ConfigError(f"window must be {SHORTEST:g} s or more, got {window}")
    if not 0 <= overlap <= MOST_OVERLAP * window:
        raise ConfigError(f"overlap must lie between 0 s and half of a window ({MOST_OVERLAP * window:g} s), got {overlap}")
    grain = rate // math.gcd(rate, net_rate)
    grain = grain if grain <= 0.05 * rate else 1
    return max(1, round(window * rate / grain)) * grain, round(overlap * rate / grain) * grain, grain
