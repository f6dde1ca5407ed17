"""Within-class covariance normalisation."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from voxid.registry import register
from voxid.scoring.affine import Affine
from voxid.scoring.speaker_statistics import check_shrinkage, speaker_statistics


@register("transform", "wccn")
class Wccn(Affine):
    """Scale directions down by how much one speaker varies in them; all directions stay.

    rows @ B, B B' = W^-1 with the within-speaker covariance W.

    Args:
        shrinkage: Share of a sphere in W, from 0 to below 1. None = none where W is well-conditioned, and as much as D more rows
            where it is not.

    Hatch, Kajarekar and Stolcke, "Within-class covariance normalization for SVM-based speaker recognition", ICSLP 2006.

    Example:
        >>> Wccn().fit([[0.0], [4.0], [9.0], [9.0]], ["al", "al", "bo", "bo"]).matrix.tolist()
        [[0.5]]
    """

    def __init__(self, shrinkage: float | None = None) -> None:
        check_shrinkage(shrinkage)
        self.shrinkage = shrinkage

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike) -> Self:
        """Find the matrix from rows [n, D] and a label for each [n].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_SPEAKERS``, no speaker has two recordings, or a `shrinkage` too small.
        """
        within = speaker_statistics(embeddings, speakers, self.shrinkage).within
        variance, directions = np.linalg.eigh(within)
        return self._keep(np.zeros(len(within)), np.linalg.cholesky((directions / variance) @ directions.T))

    def __repr__(self) -> str:
        return f"Wccn(shrinkage={self.shrinkage})"
