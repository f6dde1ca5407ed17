"""Transforms that are one matrix once they are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError
from voxid.scoring.checks import as_rows, not_fitted, restored


class Affine:
    """rows -> (rows - mean) @ matrix. A subclass finds `mean` [D] and `matrix` [D, D'] in its `fit`; until then they are None."""

    mean: NDArray | None = None
    matrix: NDArray | None = None

    def transform(self, embeddings: ArrayLike) -> NDArray:
        """Rows [n, D] -> [n, D'] float64.

        Raises:
            DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN and infinity.
            ModelError: ``E_NOT_FITTED``.
        """
        mean, matrix = self._fitted()
        return (as_rows(embeddings, len(mean)) - mean) @ matrix

    def state(self) -> dict[str, NDArray]:
        """What `fit` found: ``mean`` [D] and ``matrix`` [D, D']."""
        mean, matrix = self._fitted()
        return {"mean": mean, "matrix": matrix}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Take over a state; the transform is then bit for bit the one that gave it.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        arrays = restored(state, type(self).__name__, mean=("D",), matrix=("D", "R"))
        return self._keep(arrays["mean"], arrays["matrix"])

    def _keep(self, mean: NDArray, matrix: NDArray) -> Self:
        # One layout, fitted or restored: products of the same numbers in another order of memory may differ in the last bit.
        self.mean, self.matrix = mean, np.ascontiguousarray(matrix)
        return self

    def _fitted(self) -> tuple[NDArray, NDArray]:
        if self.mean is None or self.matrix is None:
            raise not_fitted(type(self).__name__)
        return self.mean, self.matrix


def check_dim(what: str, dim: int | None) -> None:
    """Raise `ConfigError` unless a number of dimensions is 1 or more, or None."""
    if dim is not None and dim < 1:
        raise ConfigError(f"{what}: dim must be 1 or more, got {dim}")
