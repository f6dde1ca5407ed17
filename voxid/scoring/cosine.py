"""Cosine of the angle between embeddings, in [-1, 1]; higher = same speaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError

# Rows gathered at one time: the copies of a chunk stay in cache, which is several times faster than one gather of all.
CHUNK = 16_384


def cosine(a: ArrayLike, b: ArrayLike) -> NDArray:
    """Cosine of embeddings [..., D] with embeddings [..., D], in [-1, 1]; higher = same speaker.

    A zero vector has no direction: its cosine is 0 with everything, itself included.

    Raises:
        DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN and infinity.

    Example:
        >>> cosine([1.0, 0.0], [[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]]).tolist()
        [1.0, 0.0, -1.0, 0.0]
    """
    left, right = unit(a), unit(b)
    try:
        product = np.einsum("...d,...d->...", left, right)
    except ValueError as error:
        raise DataError(f"embeddings {list(left.shape)} and {list(right.shape)} do not fit together", "E_SHAPE") from error
    return np.clip(product, -1.0, 1.0)


def cosine_trials(embeddings: ArrayLike, enrol_index: ArrayLike, test_index: ArrayLike) -> NDArray:
    """Cosine of each trial [N] float32, in [-1, 1]; higher = same speaker.

    Args:
        embeddings: One row per recording [n, D].
        enrol_index, test_index: Rows of the two sides of each trial [N], each within 0 ... n - 1.

    Raises:
        DataError: ``E_SHAPE``, ``E_INDEX``, or ``E_EMBEDDING`` for NaN and infinity.

    Example:
        >>> cosine_trials([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], [0, 0], [1, 2]).tolist()
        [0.0, 1.0]
    """
    rows = unit(embeddings)
    if rows.ndim != 2:
        raise DataError(f"expected embeddings [n, D], got {list(rows.shape)}", "E_SHAPE")
    enrol, test = _index(enrol_index, len(rows)), _index(test_index, len(rows))
    if enrol.shape != test.shape:
        raise DataError(f"expected as many enrol as test rows, got {enrol.size} and {test.size}", "E_SHAPE")
    scores = np.empty(enrol.size, dtype=np.float32)
    for start in range(0, enrol.size, CHUNK):
        part = slice(start, start + CHUNK)
        np.einsum("nd,nd->n", rows[enrol[part]], rows[test[part]], out=scores[part])
    return np.clip(scores, -1.0, 1.0, out=scores)


def unit(embeddings: ArrayLike) -> NDArray:
    """Embeddings [..., D] scaled to length 1, float32; zero vectors stay zero.

    Example:
        >>> unit([[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.asarray(embeddings, dtype=np.float32)
    if rows.ndim == 0 or rows.shape[-1] == 0:
        raise DataError(f"expected embeddings [..., D] with D >= 1, got {list(rows.shape)}", "E_SHAPE")
    # The largest entry goes first: squares of very large or very small numbers leave float32.
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    if not np.isfinite(largest).all():
        raise DataError("expected finite embeddings, got NaN or infinity", "E_EMBEDDING")
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    length = np.sqrt(np.einsum("...d,...d->...", scaled, scaled))[..., None]
    return np.divide(scaled, length, out=scaled, where=length > 0)


def _index(index: ArrayLike, count: int) -> NDArray:
    rows = np.asarray(index)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise DataError(f"expected row numbers [N], got {rows.dtype} {list(rows.shape)}", "E_INDEX")
    rows = rows.astype(np.intp)
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        raise DataError(f"row numbers must lie within 0 ... {count - 1}, got {rows.min()} ... {rows.max()}", "E_INDEX")
    return rows
