"""Whitening by principal components."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from voxid.errors import DataError
from voxid.registry import register
from voxid.scoring.affine import Affine, check_dim
from voxid.scoring.checks import as_rows


@register("transform", "whiten")
class Whiten(Affine):
    """Subtract the mean and scale the principal components to variance 1.

    Components without any variance are left out, so D' may be below D.

    Args:
        dim: How many components are kept, those of the largest variance; None = all.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(500, 3)) * [1, 5, 20]
        >>> bool(np.allclose(np.cov(Whiten(dim=2).fit(rows).transform(rows).T), np.eye(2)))
        True
    """

    def __init__(self, dim: int | None = None) -> None:
        check_dim("whiten", dim)
        self.dim = dim

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike | None = None) -> Self:
        """Find mean and components of rows [n, D]; speakers do not matter.

        Raises:
            DataError: ``E_SHAPE``, fewer than two rows that differ; ``E_EMBEDDING``.
        """
        rows = as_rows(embeddings)
        if len(rows) < 2 or not np.ptp(rows, axis=0).any():
            raise DataError(f"whiten: needs two rows or more that differ, got {len(rows)}", "E_SHAPE")
        variance, directions = np.linalg.eigh(np.cov(rows.T).reshape(rows.shape[1], -1))
        keep = np.flatnonzero(variance > 1e-10 * variance[-1])[::-1][: self.dim]
        return self._keep(rows.mean(axis=0), directions[:, keep] / np.sqrt(variance[keep]))

    def __repr__(self) -> str:
        return f"Whiten(dim={self.dim})"
