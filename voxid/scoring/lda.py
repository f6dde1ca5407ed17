"""Linear discriminant analysis."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.registry import register
from voxid.scoring.affine import Affine, check_dim
from voxid.scoring.speaker_statistics import check_shrinkage, speaker_statistics

# Share of a direction's variance that lies within speakers, at least: a direction in which the few training recordings of a
# speaker agree by chance must not drown all others.
LEAST_WITHIN = 1e-6


@register("transform", "lda")
class Lda(Affine):
    """The directions in which speakers differ most for how much one speaker varies; the latter is 1 in each afterwards.

    Fisher's criterion: the eigenvectors of S_b v = l (S_w + S_b) v are those of S_b v = l' S_w v, and need no inverse of S_w, so
    that few recordings are no obstacle.

    Args:
        dim: How many directions are kept, at most; no more than speakers - 1 and D are there. None = all of them.
        shrinkage: Share of a sphere in the covariance within speakers, from 0 to below 1. None = none where that covariance is
            well-conditioned, and as much as D more rows where it is not.

    Example:
        >>> rows = np.array([[0.0, 9.0], [0.1, -9.0], [2.0, -7.0], [2.1, 8.0]])
        >>> abs(Lda(dim=1).fit(rows, ["al", "al", "bo", "bo"]).transform(rows)).round(-1).ravel().tolist()
        [10.0, 10.0, 10.0, 10.0]
    """

    def __init__(self, dim: int | None = None, shrinkage: float | None = None) -> None:
        check_dim("lda", dim)
        check_shrinkage(shrinkage)
        self.dim = dim
        self.shrinkage = shrinkage

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike) -> Self:
        """Find the directions from rows [n, D] and a label for each [n].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_SPEAKERS``, fewer than two speakers, or none with two recordings,
                or a `shrinkage` too small for them.
        """
        found = speaker_statistics(embeddings, speakers, self.shrinkage)
        weights = found.counts / found.counts.sum()
        mean = weights @ found.means
        off = found.means - mean
        most = len(off) - 1 if self.dim is None else min(len(off) - 1, self.dim)
        return self._keep(mean, _discriminants((off.T * weights) @ off, found.within)[:, :most])

    def __repr__(self) -> str:
        return f"Lda(dim={self.dim}, shrinkage={self.shrinkage})"


def _discriminants(between: NDArray, within: NDArray) -> NDArray:
    """Directions [D, r], best first, scaled to a within-speaker variance of 1; r = rank of all scatter."""
    variance, basis = np.linalg.eigh(within + between)
    keep = variance > 1e-10 * variance[-1]
    basis = basis[:, keep] / np.sqrt(variance[keep])
    share, turn = np.linalg.eigh(basis.T @ between @ basis)
    return (basis @ turn / np.sqrt(np.maximum(1 - share, LEAST_WITHIN)))[:, ::-1]
