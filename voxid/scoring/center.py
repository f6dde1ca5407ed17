"""Mean subtraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.registry import register
from voxid.scoring.checks import as_codes, as_rows, not_fitted, restored
from voxid.scoring.speaker_statistics import class_sums


@register("transform", "center")
class Center:
    """Subtract the mean of the training rows.

    Args:
        balanced: Each speaker counts once (the mean of the speakers' means), where speakers are given; False = each row once.

    Example:
        >>> Center().fit([[0.0], [0.0], [6.0]], ["al", "al", "bo"]).transform([[5.0]]).tolist()
        [[2.0]]
    """

    def __init__(self, balanced: bool = True) -> None:
        self.balanced = balanced
        self.mean: NDArray | None = None

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike | None = None) -> Self:
        """Find the mean of rows [n, D].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``, or ``E_SPEAKERS``.
        """
        rows = as_rows(embeddings)
        codes, _ = as_codes(range(len(rows)) if speakers is None or not self.balanced else speakers, len(rows))
        self.mean = (class_sums(rows, codes) / np.bincount(codes)[:, None]).mean(axis=0)
        return self

    def transform(self, embeddings: ArrayLike) -> NDArray:
        """Rows [n, D] without the mean, float64."""
        mean = self._fitted()
        return as_rows(embeddings, len(mean)) - mean

    def state(self) -> dict[str, NDArray]:
        """``mean`` [D]."""
        return {"mean": self._fitted()}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Take over a state.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        self.mean = restored(state, "Center", mean=("D",))["mean"]
        return self

    def _fitted(self) -> NDArray:
        if self.mean is None:
            raise not_fitted("Center")
        return self.mean

    def __repr__(self) -> str:
        return f"Center(balanced={self.balanced})"
