"""Mean and standard deviation of the highest scores of each row: exact, without sorting whole rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# NumPy sorts up to 512 float32 by a sorting network in vector registers at 1.3 ns a score; a partition of 6,000 takes 6 ns.
CHUNK = 512
# Scores in work at a time: what stays in the cache is quicker than more.
PIECE = 1 << 19
# How many of a row's highest scores are in one of its chunks varies as drawn lots do. What lies further out goes the slow way.
DEVIATIONS = 4.0


def chunk_layout(columns: int) -> tuple[int, int]:
    """Chunks of a row of `columns` scores, and the width of each; the product is what `top_statistics` takes.

    Example:
        >>> chunk_layout(6000), chunk_layout(1025), chunk_layout(3)
        ((12, 500), (3, 342), (1, 3))
    """
    chunks = -(-columns // CHUNK)
    return chunks, -(-columns // chunks)


def spread_columns(columns: int) -> NDArray[np.intp]:
    """An order of columns that gives each chunk every so manieth one.

    A cohort that lies sorted by corpus or language would have its highest scores in one chunk. That costs time, not exactness.

    Example:
        >>> spread_columns(1025)[:3].tolist()
        [0, 3, 6]
    """
    chunks, _ = chunk_layout(columns)
    return np.argsort(np.arange(columns) % chunks, kind="stable")


def top_statistics(scores: NDArray[np.float32], top: int) -> tuple[NDArray, NDArray]:
    """Mean [b] and population standard deviation [b] of the `top` highest scores of each row, float64.

    Args:
        scores: Rows [b, W] float32, W = chunks x width of `chunk_layout`; what is left over is filled with -inf.
            They are sorted in place, by chunks.
        top: How many, from 1 to the number of columns that are no filling.

    Returns:
        NaN in a row with a NaN or an infinite one among its highest.

    Example:
        >>> mean, std = top_statistics(np.array([[1, 5, 2, 3]], dtype=np.float32), 2)
        >>> mean.tolist(), std.tolist()
        ([4.0], [1.0])
    """
    mean, std = np.empty(len(scores)), np.empty(len(scores))
    step = max(1, PIECE // scores.shape[1])
    with np.errstate(invalid="ignore"):  # infinity less infinity: the caller refuses the NaN
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            mean[part], std[part] = _piece(scores[part], top)
    return mean, std


def _piece(scores: NDArray[np.float32], top: int) -> tuple[NDArray, NDArray]:
    chunks, width = chunk_layout(scores.shape[1])
    sorted_chunks = scores.reshape(len(scores), chunks, width)
    sorted_chunks.sort(axis=2)
    sure, maybe = _shares(top, chunks, width)
    middle = sorted_chunks[:, :, width - maybe : width - sure].reshape(len(scores), -1)
    middle.sort(axis=1)
    limit = middle[:, middle.shape[1] - (top - chunks * sure)]  # the score at rank `top`, if the shares hold
    mean, std = _above(sorted_chunks[:, :, width - maybe :], limit, top)
    failed = np.zeros(len(scores), dtype=bool)
    if maybe < width:
        failed |= sorted_chunks[:, :, width - maybe - 1].max(axis=1) > limit
    if sure:
        failed |= sorted_chunks[:, :, width - sure].min(axis=1) < limit
    if failed.any():
        whole = np.partition(scores[failed], scores.shape[1] - top, axis=1)[:, -top:].astype(np.float64)
        mean[failed], std[failed] = whole.mean(axis=1), whole.std(axis=1)
    return mean, std


def _shares(top: int, chunks: int, width: int) -> tuple[int, int]:
    """How many of a chunk's highest scores are surely, and how many are at most, among the row's highest ones."""
    share = min(1.0, top / (chunks * width))
    margin = DEVIATIONS * math.sqrt(width * share * (1.0 - share)) + 1.0
    return max(0, math.floor(width * share - margin)), min(width, math.ceil(width * share + margin))


def _above(scores: NDArray[np.float32], limit: NDArray[np.float32], top: int) -> tuple[NDArray, NDArray]:
    """Statistics of the `top` highest of `scores` [b, chunks, M], the lowest of which is `limit` [b].

    Scores equal to the limit are nothing above it, so it does not matter how many of them belong to the highest.
    """
    above = (scores - limit[:, None, None]).reshape(len(scores), -1)
    np.maximum(above, np.zeros(above.shape[1], dtype=np.float32), out=above)
    mean = (above @ np.ones(above.shape[1], dtype=np.float32)).astype(np.float64) / top
    square = np.vecdot(above, above).astype(np.float64) / top
    return limit + mean, np.sqrt(np.maximum(square - mean * mean, 0.0))
