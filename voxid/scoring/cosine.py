"""Cosine of the angle between embeddings, in [-1, 1]; higher = same speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError
from voxid.registry import register
from voxid.scoring.bilinear import Bilinear, dot_trials
from voxid.scoring.checks import as_counts, as_pairs, as_rows, restored


@register("scorer", "cosine")
class Cosine(Bilinear):
    """Cosine of the angle between rows, in [-1, 1]; higher = same speaker. There is nothing to fit.

    Example:
        >>> Cosine().score_trials([[1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]], [0, 0], [0, 1]).tolist()
        [1.0, 0.0]
    """

    dtype = np.float32

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike | None = None) -> Self:
        """Nothing to do: a cosine has no parameters."""
        return self

    def enrol_side(self, rows: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
        """Directions [n, D] and zeros [n]; `counts` do not matter."""
        return unit(rows), np.zeros(len(rows))

    def test_side(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Directions [m, D] and zeros [m]."""
        return unit(rows), np.zeros(len(rows))

    def _sides(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        if enrol is not test:
            return super()._sides(enrol, test, counts)
        # One table for both sides: half the memory, so that twice as much of it stays near.
        rows = as_rows(enrol, what="enrolment rows")
        side = self.enrol_side(rows, as_counts(counts, len(rows)))
        return *side, *side

    def score_trials(
        self,
        enrol: ArrayLike,
        test: ArrayLike,
        enrol_index: ArrayLike,
        test_index: ArrayLike,
        counts: ArrayLike | None = None,
    ) -> NDArray:
        """Cosine of listed trials [N] float64, in [-1, 1]; the rest as in `Bilinear.score_trials`."""
        scores = super().score_trials(enrol, test, enrol_index, test_index, counts)
        return np.clip(scores, -1.0, 1.0, out=scores)

    def score_matrix(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None = None) -> NDArray:
        """Cosine of every enrolment row with every test row [n, m] float32, in [-1, 1]."""
        scores = super().score_matrix(enrol, test, counts)
        return np.clip(scores, -1.0, 1.0, out=scores)

    def state(self) -> dict[str, NDArray]:
        """Nothing: {}."""
        return {}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Itself; a state with anything in it is a `ModelError` ``E_FORMAT``."""
        restored(state, "cosine")
        return self

    def __repr__(self) -> str:
        return "Cosine()"


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
    scores = dot_trials(rows, rows, *as_pairs(enrol_index, test_index, len(rows), len(rows)))
    return np.clip(scores, -1.0, 1.0, out=scores)


def unit(embeddings: ArrayLike, dtype: type[np.floating] = np.float32) -> NDArray:
    """Embeddings [..., D] scaled to length 1, float32 unless told otherwise; zero vectors stay zero.

    Example:
        >>> unit([[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.asarray(embeddings, dtype=dtype)
    if rows.ndim == 0 or rows.shape[-1] == 0:
        raise DataError(f"expected embeddings [..., D] with D >= 1, got {list(rows.shape)}", "E_SHAPE")
    # The largest entry goes first: squares of very large or very small numbers leave the range.
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    if not np.isfinite(largest).all():
        raise DataError("expected finite embeddings, got NaN or infinity", "E_EMBEDDING")
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    length = np.sqrt(np.einsum("...d,...d->...", scaled, scaled))[..., None]
    return np.divide(scaled, length, out=scaled, where=length > 0)
