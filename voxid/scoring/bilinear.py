"""Scorers whose score is a dot product plus an offset of each side: cosine, and PLDA once it is diagonalised."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.scoring.checks import as_counts, as_pairs, as_rows

# Trials gathered at one time: the copies of a chunk stay in cache, which is several times faster than one gather of all.
CHUNK = 1_024
# Rows of more than this (bytes) do not stay in the caches near a core: trials are then scored tile by tile of their matrix.
NEAR = 8 * 2**20
# Tiles a side, at most: their number fits 16 bits, which NumPy sorts by radix.
TILES = 256


class Bilinear(ABC):
    """score(x, y) = left(x) . right(y) + offset(x) + offset(y); higher = same speaker.

    A subclass says what the two sides are; trials and matrices follow. The rows that it gets are checked: finite float64 [n, D];
    it compares D with what it was fitted on itself (`checks.as_rows(rows, dim)`).
    """

    # Of the dot products of trials; matrices are always float32.
    dtype: type[np.floating] = np.float64

    @abstractmethod
    def enrol_side(self, rows: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
        """Vectors [n, R] and offsets [n] of enrolment rows [n, D], each the mean of `counts` [n] recordings."""

    @abstractmethod
    def test_side(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Vectors [m, R] and offsets [m] of test rows [m, D]."""

    def score_trials(
        self,
        enrol: ArrayLike,
        test: ArrayLike,
        enrol_index: ArrayLike,
        test_index: ArrayLike,
        counts: ArrayLike | None = None,
    ) -> NDArray:
        """Scores of listed trials [N] float64; higher = same speaker.

        Args:
            enrol, test: Rows of the two sides [n, D] and [m, D].
            enrol_index, test_index: The row of each trial's sides [N].
            counts: How many recordings each enrolment row is the mean of [n]; None = 1 each.

        Raises:
            DataError: ``E_SHAPE``, ``E_INDEX``, or ``E_EMBEDDING`` for NaN and infinity.
        """
        left, left_offset, right, right_offset = self._sides(enrol, test, counts)
        first, second = as_pairs(enrol_index, test_index, len(left), len(right))
        scores = dot_trials(left.astype(self.dtype, copy=False), right.astype(self.dtype, copy=False), first, second)
        scores = scores.astype(np.float64, copy=False)
        for offset, index in ((left_offset, first), (right_offset, second)):
            if offset.any():
                scores += offset[index]
        return scores

    def score_matrix(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None = None) -> NDArray:
        """Scores of every enrolment row [n, D] with every test row [m, D]: [n, m] float32; higher = same speaker.

        Raises:
            DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN and infinity.
        """
        left, left_offset, right, right_offset = self._sides(enrol, test, counts)
        scores = left.astype(np.float32) @ right.astype(np.float32).T
        scores += left_offset[:, None].astype(np.float32)
        scores += right_offset.astype(np.float32)
        return scores

    def _sides(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Both sides, checked. A scorer whose test side hangs on the counts, too, has its own."""
        rows = as_rows(enrol, what="enrolment rows")
        other = as_rows(test, rows.shape[1], "test rows")
        return *self.enrol_side(rows, as_counts(counts, len(rows))), *self.test_side(other)


def dot_trials(left: NDArray, right: NDArray, enrol: NDArray, test: NDArray) -> NDArray:
    """Dot products of listed pairs of rows [N], in the dtype of `left`.

    Args:
        left, right: Rows of the two sides [n, R] and [m, R].
        enrol, test: Row numbers [N]; not checked here.

    Example:
        >>> dot_trials(np.eye(2), np.array([[2.0, 3.0]]), np.array([0, 1]), np.array([0, 0])).tolist()
        [2.0, 3.0]
    """
    table = left.nbytes if left is right else left.nbytes + right.nbytes
    if table <= NEAR or len(enrol) <= CHUNK:
        return _dot_chunks(left, right, enrol, test)
    order = _tile_order(enrol, test, max(len(left), len(right)))
    scores = np.empty(len(enrol), dtype=left.dtype)
    scores[order] = _dot_chunks(left, right, enrol[order], test[order])
    return scores


def _dot_chunks(left: NDArray, right: NDArray, enrol: NDArray, test: NDArray) -> NDArray:
    scores = np.empty(len(enrol), dtype=left.dtype)
    first, second = (np.empty((min(CHUNK, len(enrol)), rows.shape[1]), dtype=rows.dtype) for rows in (left, right))
    for start in range(0, len(enrol), CHUNK):
        part = slice(start, start + CHUNK)
        count = len(scores[part])
        # Without mode="clip" take() fills a copy of `out` first, for the case that a row number is wrong.
        np.take(left, enrol[part], axis=0, out=first[:count], mode="clip")
        np.take(right, test[part], axis=0, out=second[:count], mode="clip")
        np.vecdot(first[:count], second[:count], out=scores[part])
    return scores


def _tile_order(enrol: NDArray, test: NDArray, rows: int) -> NDArray:
    """Trials ordered by the tile of the score matrix that they lie in: the rows of a tile stay near."""
    tile = max(512, -(-rows // TILES))
    return np.argsort((enrol // tile * TILES + test // tile).astype(np.uint16), kind="stable")
